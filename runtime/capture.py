"""The capture thread: reads the camera, keeps only the newest frame, refuses stale and repeated ones, and counts them all."""

import threading
import time
from types import TracebackType
from typing import Final

from handmap.recording.cameras import OWN_PACE, Camera, Pace
from handmap.types.errors import CameraLost
from handmap.types.values import DepthFrame

from .state import Counts

POLL_S: Final = 0.2  # longest wait inside the camera before the thread checks whether to stop
CLOSE_S: Final = 0.8  # closing a RealSense takes 0.1 to 0.3 s; anything longer counts as hung
HUNG_S: Final = 1.5  # a wait for a frame that takes longer counts as hung
OPEN_HUNG_S: Final = 8.0  # opening can include enumerating a bus that was just reset
LATE_S: Final = 0.1  # a frame older than this is skipped if a newer one follows at once
NEWER_S: Final = 0.02
CATCH_UP_S: Final = 0.3
STALE_S: Final = 0.5  # a frame older than this says nothing about the present
OUTDATED_S: Final = 3.0  # nor does one that is this much older when it is published than the work on it took
FUTURE_S: Final = 0.05  # nor does one this far in the future; clocks are mapped to within milliseconds


class Capture:
    """Runs for the duration of a `with` block. The thread that reads the camera also closes it; `wait_newest` raises what the
    camera raised. The pace is told what happens to the frames that are handed out.

    With is_real_time, stale frames and frames that repeat an earlier timestamp are refused. A thread that hangs in a camera
    call is abandoned and counted; if the call ever returns, the thread closes the camera and ends.
    """

    def __init__(
        self, camera: Camera, counts: Counts | None = None, is_real_time: bool = False, pace: Pace = OWN_PACE
    ) -> None:
        self._camera = camera
        self._counts = Counts() if counts is None else counts
        self._is_real_time = is_real_time
        self._pace = pace
        self._ready = threading.Condition()
        self._newest: DepthFrame | None = None
        self._failure: Exception | None = None
        self._shape: tuple[int, ...] | None = None
        self._kept_ns = 0
        self._refused_s = 0.0
        self._taken_cpu_s = time.thread_time()  # of the caller, when a frame was handed out last
        self._called_s = time.monotonic()  # when the thread's current call began
        self._hung_s = OPEN_HUNG_S
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def __enter__(self) -> "Capture":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Starts the thread."""
        self._called_s = time.monotonic()
        self._thread.start()

    def close(self) -> None:
        """Ends the thread, or abandons and counts it if it hangs."""
        self._is_stopping = True
        self._thread.join(POLL_S + CLOSE_S)
        if self._thread.is_alive():
            self._counts.hung += 1

    @property
    def dropped(self) -> int:
        """Frames overtaken by a newer one."""
        return self._counts.dropped

    @property
    def has_ended(self) -> bool:
        """Whether the stream has ended and its last frame was taken."""
        with self._ready:
            return self._camera.has_ended and self._newest is None

    @property
    def is_refusing(self) -> bool:
        """Whether frames arrive but are refused."""
        return time.monotonic() - self._refused_s < STALE_S

    def wait_newest(self, timeout_s: float) -> DepthFrame | None:
        """The newest frame not handed out yet, or None on timeout.

        Raises whatever the camera raised, and CameraLost if a camera call does not return.
        """
        with self._ready:
            self._ready.wait_for(self._has_news, timeout_s)
            frame, self._newest = self._newest, None
            if frame is None and self._failure is not None:
                self._raise_failure()
            if frame is not None:
                frame = self._not_outdated(self._not_late(frame))
        if frame is not None:
            self._taken_cpu_s = time.thread_time()
            self._pace.taken()
        elif not self._camera.has_ended and time.monotonic() - self._called_s > self._hung_s:
            raise CameraLost(
                f"camera: a call has not returned within {self._hung_s:.1f} s; its thread is abandoned and the camera reopened"
            )
        return frame

    def is_outdated(self, frame: DepthFrame) -> bool:
        """Whether the frame handed out last has become too old to publish, as when the process was stopped meanwhile; counted.

        Work of the calling thread does not make it so: a machine that needs seconds for a frame publishes it.
        """
        worked_s = time.thread_time() - self._taken_cpu_s
        is_outdated = self._is_real_time and _age_s(frame) - worked_s > OUTDATED_S
        self._counts.outdated += is_outdated
        return is_outdated

    def published(self) -> None:
        """Reports that the last frame handed out was published, or never will be."""
        self._pace.published()

    def _raise_failure(self) -> None:
        """Drops the failure before raising it: a reference cycle through its traceback would keep camera and frame alive."""
        failure, self._failure = self._failure, None
        try:
            if failure is not None:
                raise failure
        finally:
            del failure

    def _not_late(self, frame: DepthFrame) -> DepthFrame:
        """The frame or, if it is late, as after a stall, the newest of those that follow at once."""
        end_s = time.monotonic() + CATCH_UP_S
        while self._is_real_time and _age_s(frame) > LATE_S and time.monotonic() < end_s:
            self._ready.wait_for(lambda: self._newest is not None, NEWER_S)
            if self._newest is None:
                break
            frame, self._newest = self._newest, None
            self._counts.skipped += 1
        return frame

    def _not_outdated(self, frame: DepthFrame) -> DepthFrame | None:
        """The frame, unless it has become stale since it was kept, as when the whole process was stopped for a while."""
        if self._is_real_time and _age_s(frame) > STALE_S:
            self._counts.outdated += 1
            self._refused_s = time.monotonic()
            return None
        return frame

    def _has_news(self) -> bool:
        return self._newest is not None or self._failure is not None or self._camera.has_ended

    def _run(self) -> None:
        try:
            self._read()
        except Exception as error:  # noqa: BLE001  carried to the main loop, which knows what to do with each kind
            with self._ready:
                self._failure = error
                self._ready.notify()
        finally:
            self._camera.close()

    def _read(self) -> None:
        while not self._is_stopping:
            frame = self._camera.wait_frame(POLL_S)
            self._called_s, self._hung_s = time.monotonic(), HUNG_S
            if frame is not None:
                self._keep(frame)
            elif self._camera.has_ended:
                with self._ready:
                    self._ready.notify()
                return

    def _keep(self, frame: DepthFrame) -> None:
        self._counts.arrivals.note()
        if self._shape not in (None, frame.depth.shape):
            raise CameraLost(
                f"camera: frame {frame.frame_number} has shape {frame.depth.shape} after frames of {self._shape}; the camera is being reopened"
            )
        self._shape = frame.depth.shape
        if self._is_real_time and not self._is_of_now(frame):
            self._refused_s = time.monotonic()
            return
        self._kept_ns = frame.capture_ns
        with self._ready:
            if self._newest is not None:
                self._counts.dropped += 1
            self._newest = frame
            self._ready.notify()

    def _is_of_now(self, frame: DepthFrame) -> bool:
        if frame.capture_ns == self._kept_ns:
            self._counts.repeated += 1
            return False
        if frame.capture_ns < self._kept_ns or not -FUTURE_S <= _age_s(frame) <= STALE_S:
            self._counts.stale += 1
            return False
        return True


def _age_s(frame: DepthFrame) -> float:
    return (time.monotonic_ns() - frame.capture_ns) / 1e9
