"""The replay camera: a recording or a folder of PNGs that stands in for a live camera, at one of three paces."""

import logging
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from handmap.recording.bag import Bag
from handmap.recording.cameras import CameraSource
from handmap.recording.clock import is_step
from handmap.recording.depth_range import describe_range
from handmap.recording.png_folder import PngFolderConfig
from handmap.recording.reader import Recording, open_recording
from handmap.recording.stated import IntrinsicsConfig, Unit
from handmap.types.errors import RecordingError
from handmap.types.values import DepthFrame, TimestampSource

from .flight_replay import FlightReplay, open_flight

LOG: Final = logging.getLogger("handmap.replay")


class ReplayPace(Protocol):
    """Decides when the next frame is handed out; a `Pace` that can be waited for."""

    def start(self) -> None:
        """Releases the first frame, whatever happened to those of an earlier opening."""
        ...

    def wait(self, due_ns: int, timeout_s: float) -> bool:
        """Waits until a frame due at due_ns (CLOCK_MONOTONIC) can be handed out; False on timeout."""
        ...

    def taken(self) -> None: ...
    def published(self) -> None: ...


class RecordedPace:
    """Keeps the recorded spacing, as a live camera would, whatever happens to the frames."""

    def start(self) -> None:
        """Does nothing."""

    def wait(self, due_ns: int, timeout_s: float) -> bool:
        """See `ReplayPace`."""
        left_s = (due_ns - time.monotonic_ns()) / 1e9
        if left_s > 0:
            time.sleep(min(left_s, timeout_s))
        return time.monotonic_ns() >= due_ns

    def taken(self) -> None:
        """Does nothing."""

    def published(self) -> None:
        """Does nothing."""


class FlatOut:
    """Hands out the next frame once the last was taken: as fast as frames are processed, and none is dropped."""

    def __init__(self) -> None:
        self._credit = threading.Semaphore(1)

    def start(self) -> None:
        """See `ReplayPace`."""
        self._credit = threading.Semaphore(1)

    def wait(self, due_ns: int, timeout_s: float) -> bool:
        """See `ReplayPace`."""
        return self._credit.acquire(timeout=timeout_s)

    def taken(self) -> None:
        """Releases the next frame."""
        self._credit.release()

    def published(self) -> None:
        """Does nothing."""


class Lockstep:
    """Hands out the next frame once the last was published: the same frames and results on every run."""

    def __init__(self) -> None:
        self._credit = threading.Semaphore(1)

    def start(self) -> None:
        """See `ReplayPace`."""
        self._credit = threading.Semaphore(1)

    def wait(self, due_ns: int, timeout_s: float) -> bool:
        """See `ReplayPace`."""
        return self._credit.acquire(timeout=timeout_s)

    def taken(self) -> None:
        """Does nothing."""

    def published(self) -> None:
        """Releases the next frame."""
        self._credit.release()


class ReplayCamera:
    """Frames of a recording, renumbered, with their timestamps shifted to start now.

    At the `recorded` pace capture times are real; at the others they only preserve the spacing. Frames of a snapshot, given as
    `flight`, keep their numbers.
    """

    def __init__(
        self, recording: Recording, pace: ReplayPace, is_looped: bool, flight: FlightReplay | None = None
    ) -> None:
        pace.start()
        self.name = f"replay of {str(recording.path)!r}"
        self.rate_hz = recording.fps if isinstance(pace, RecordedPace) else None
        if flight is None:
            self._frames = shifted(recording, is_looped, time.monotonic_ns())
        else:
            self._frames = flight.frames(is_looped, round(1e9 / recording.fps))
        self._shape = (recording.intrinsics.height_px, recording.intrinsics.width_px)
        self._pace = pace
        self._next: DepthFrame | None = None
        self._has_ended = False

    @property
    def has_ended(self) -> bool:
        """See `Camera`."""
        return self._has_ended

    def wait_frame(self, timeout_s: float) -> DepthFrame | None:
        """See `Camera`; the frame is read before the wait, so that decoding does not delay it."""
        if self._next is None:
            self._next = next(self._frames, None)
            self._has_ended = self._next is None
        if self._next is None or not self._pace.wait(self._next.capture_ns, timeout_s):
            return None
        frame, self._next = self._next, None
        if frame.depth.shape != self._shape:
            raise RecordingError(
                f"{self.name}: frame {frame.frame_number} has shape {frame.depth.shape} after frames of {self._shape}, wanted "
                "one size to the end, as of a camera; record each resolution for itself"
            )
        return frame

    def close(self) -> None:
        """See `Camera`; closes the recording, which stays open while frames are read."""
        self._frames.close()


class SnapshotCamera(ReplayCamera):
    """A replay of a snapshot that the flight recorder wrote: the tracker begins as it was."""

    def __init__(self, recording: Recording, pace: ReplayPace, is_looped: bool, flight: FlightReplay) -> None:
        super().__init__(recording, pace, is_looped, flight)
        self.about = flight.about
        self.state_before = flight.state_before


PACES: Final[dict[str, Callable[[], ReplayPace]]] = {
    "recorded": RecordedPace,
    "flat_out": FlatOut,
    "lockstep": Lockstep,
}


class ReplayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="replay"):
    """A recording that stands in for the camera."""

    path: Path  # a recording, or a folder of 16-bit PNGs with an intrinsics.yaml beside them
    # recorded: at recorded speed; flat_out: as fast as frames are processed; lockstep: one frame per published frame
    pace: Literal["recorded", "flat_out", "lockstep"] = "recorded"
    loop: bool = True  # start over at the end; false: exit with code 0
    topic: str | None = None  # the depth topic to use if a bag has several
    depth_unit_mm: Unit | None = None  # one step of the raw values; null: as the recording says
    intrinsics: IntrinsicsConfig | None = None  # of the depth camera; null: as the recording says
    png_folder: PngFolderConfig | None = None  # for PNGs without intrinsics.yaml
    # true: with a snapshot of the flight recorder, tracking begins in the state that it holds; false: without any hand
    resume: bool = True

    def check(self) -> None:
        """Raises RecordingError if the recording cannot be read, or its states cannot be resumed."""
        recording = self.open_recording()
        if self.resume:
            open_flight(recording)

    def open_recording(self) -> Recording:
        """The recording, with what is stated about it.

        Raises RecordingError if it cannot be read.
        """
        return open_recording(self.path, self.topic, self.png_folder, self.depth_unit_mm, self.intrinsics)

    def source(self) -> CameraSource:
        """See `CameraConfig`; the source carries the pace that drives the recording."""
        pace = PACES[self.pace]()
        return CameraSource(partial(open_replay, self, pace), pace, is_real_time=self.pace == "recorded")


def open_replay(config: ReplayConfig, pace: ReplayPace) -> ReplayCamera:
    """The replay camera of a configuration, at this pace.

    Raises RecordingError if the recording cannot be read.
    """
    recording = config.open_recording()
    if isinstance(recording, Bag) and not recording.plan.has_stamps:
        LOG.warning("recording %r is read by %s", str(recording.path), recording.plan.why["clock"])
    if recording.cut:
        LOG.warning("recording %r: %s", str(recording.path), recording.cut)
    first = next(iter(recording), None)
    note = None if first is None else describe_range([first.depth], recording.depth_unit_mm)
    if note is not None:
        LOG.warning("recording %r: in its first frame %s", str(recording.path), note)
    flight = open_flight(recording) if config.resume else None
    if flight is None:
        return ReplayCamera(recording, pace, config.loop)
    return SnapshotCamera(recording, pace, config.loop, FlightReplay(flight))


def shifted(recording: Recording, is_looped: bool, start_ns: int) -> Generator[DepthFrame, None, None]:
    """The frames, renumbered and with times from start_ns on; once, or looped without a gap."""
    period_ns = round(1e9 / recording.fps)
    now_ns, recorded_ns = start_ns, 0
    for number, frame in enumerate(recording.endless() if is_looped else recording):
        if number:
            gap_ns = frame.capture_ns - recorded_ns
            is_known = frame.frame_number > 0 and not is_step(gap_ns, period_ns)
            now_ns += gap_ns if is_known else period_ns
        recorded_ns = frame.capture_ns
        yield replace(frame, frame_number=number, capture_ns=now_ns, timestamp_source=TimestampSource.RECORDING)
