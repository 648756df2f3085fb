"""The replay camera: a recording or a folder of PNGs in the role of a live one, at one of three paces."""

import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from handmap.recording.cameras import CameraSource
from handmap.recording.png_folder import PngFolderConfig
from handmap.recording.reader import Recording, open_recording
from handmap.types.values import DepthFrame, TimestampSource

LONGEST_GAP_NS: Final = 5 * 10**9  # more is a recording that was paused, or a clock that was set


class ReplayPace(Protocol):
    """Decides when the next frame is given out; a `Pace` that can be waited for."""

    def start(self) -> None:
        """Lets the first frame go, whatever became of those of an earlier opening."""
        ...

    def wait(self, due_ns: int, timeout_s: float) -> bool:
        """Waits until a frame that was recorded for due_ns (CLOCK_MONOTONIC) may go; False if that is not yet so."""
        ...

    def taken(self) -> None: ...
    def published(self) -> None: ...


class RecordedPace:
    """Keeps the recorded spacing, as a live camera would, whatever becomes of the frames."""

    def start(self) -> None:
        """Changes nothing."""

    def wait(self, due_ns: int, timeout_s: float) -> bool:
        """See `ReplayPace`."""
        left_s = (due_ns - time.monotonic_ns()) / 1e9
        if left_s > 0:
            time.sleep(min(left_s, timeout_s))
        return time.monotonic_ns() >= due_ns

    def taken(self) -> None:
        """Changes nothing."""

    def published(self) -> None:
        """Changes nothing."""


class FlatOut:
    """Gives the next frame when the last was taken: as fast as frames are worked on, and none is dropped."""

    def __init__(self) -> None:
        self._credit = threading.Semaphore(1)

    def start(self) -> None:
        """See `ReplayPace`."""
        self._credit = threading.Semaphore(1)

    def wait(self, due_ns: int, timeout_s: float) -> bool:
        """See `ReplayPace`."""
        return self._credit.acquire(timeout=timeout_s)

    def taken(self) -> None:
        """Lets the next frame go."""
        self._credit.release()

    def published(self) -> None:
        """Changes nothing."""


class Lockstep:
    """Gives the next frame when the last was published: the same frames and results on every run."""

    def __init__(self) -> None:
        self._credit = threading.Semaphore(1)

    def start(self) -> None:
        """See `ReplayPace`."""
        self._credit = threading.Semaphore(1)

    def wait(self, due_ns: int, timeout_s: float) -> bool:
        """See `ReplayPace`."""
        return self._credit.acquire(timeout=timeout_s)

    def taken(self) -> None:
        """Changes nothing."""

    def published(self) -> None:
        """Lets the next frame go."""
        self._credit.release()


class ReplayCamera:
    """Frames of a recording with new numbers and with the recorded spacing shifted to start now.

    At the pace `recorded` capture times are real; at the others they only keep the spacing.
    """

    def __init__(self, recording: Recording, pace: ReplayPace, is_looped: bool) -> None:
        pace.start()
        self.name = f"replay of {str(recording.path)!r}"
        self._frames = shifted(recording, is_looped, time.monotonic_ns())
        self._pace = pace
        self._next: DepthFrame | None = None
        self._has_ended = False

    @property
    def has_ended(self) -> bool:
        """See `Camera`."""
        return self._has_ended

    def wait_frame(self, timeout_s: float) -> DepthFrame | None:
        """See `Camera`; the frame is read before the wait, so that decoding costs no punctuality."""
        if self._next is None:
            self._next = next(self._frames, None)
            self._has_ended = self._next is None
        if self._next is None or not self._pace.wait(self._next.capture_ns, timeout_s):
            return None
        frame, self._next = self._next, None
        return frame

    def close(self) -> None:
        """See `Camera`; lets go of the recording, which is open as long as frames are read."""
        self._frames.close()


PACES: Final[dict[str, Callable[[], ReplayPace]]] = {
    "recorded": RecordedPace,
    "flat_out": FlatOut,
    "lockstep": Lockstep,
}


class ReplayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="replay"):
    """A recording in the role of the camera."""

    path: Path  # a recording, or a folder of 16-bit PNGs with an intrinsics.yaml beside them
    # recorded: as it was; flat_out: the next frame when the last was taken; lockstep: when it was published
    pace: Literal["recorded", "flat_out", "lockstep"] = "recorded"
    loop: bool = True  # begin again at the end; false: leave with exit code 0
    topic: str | None = None  # the depth topic to use, where a bag has several
    png_folder: PngFolderConfig | None = None  # for PNGs without intrinsics.yaml

    def check(self) -> None:
        """Raises RecordingError if the recording cannot be read."""
        open_recording(self.path, self.topic, self.png_folder)

    def source(self) -> CameraSource:
        """See `CameraConfig`; the source's pace is the one that the recording keeps."""
        pace = PACES[self.pace]()
        return CameraSource(partial(open_replay, self, pace), pace, is_real_time=self.pace == "recorded")


def open_replay(config: ReplayConfig, pace: ReplayPace) -> ReplayCamera:
    """The replay camera of a configuration, at this pace.

    Raises RecordingError if the recording cannot be read.
    """
    return ReplayCamera(open_recording(config.path, config.topic, config.png_folder), pace, config.loop)


def shifted(recording: Recording, is_looped: bool, start_ns: int) -> Generator[DepthFrame, None, None]:
    """The frames with running numbers and times from start_ns on; once, or over and over without a gap."""
    nominal_ns = round(1e9 / recording.fps)
    now_ns, recorded_ns = start_ns, 0
    for number, frame in enumerate(recording.endless() if is_looped else recording):
        if number:
            gap_ns = frame.capture_ns - recorded_ns
            is_known = frame.frame_number > 0 and 0 <= gap_ns <= LONGEST_GAP_NS
            now_ns += gap_ns if is_known else nominal_ns
        recorded_ns = frame.capture_ns
        yield replace(frame, frame_number=number, capture_ns=now_ns, timestamp_source=TimestampSource.RECORDING)
