"""The replay camera: a recording or a folder of PNGs in the role of a live one, at one of three paces."""

import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Final, Protocol

from handmap.recording.reader import Recording, open_recording
from handmap.types.values import DepthFrame, TimestampSource

from ..settings import ReplayConfig

LONGEST_GAP_NS: Final = 5 * 10**9  # more is a recording that was paused, or a clock that was set


class Pace(Protocol):
    """Decides when the next frame is given out."""

    def wait(self, due_ns: int, timeout_s: float) -> bool:
        """Waits until a frame that was recorded for due_ns (CLOCK_MONOTONIC) may go; False if that is not yet so."""
        ...

    def taken(self) -> None: ...
    def published(self) -> None: ...


class RecordedPace:
    """Keeps the recorded spacing, as a live camera would, whatever becomes of the frames."""

    def __init__(self) -> None:
        self._closed = threading.Event()

    def wait(self, due_ns: int, timeout_s: float) -> bool:
        """See `Pace`."""
        left_s = (due_ns - time.monotonic_ns()) / 1e9
        if left_s > 0:
            self._closed.wait(min(left_s, timeout_s))
        return time.monotonic_ns() >= due_ns

    def taken(self) -> None:
        """Changes nothing."""

    def published(self) -> None:
        """Changes nothing."""


class FlatOut:
    """Gives the next frame when the last was taken: as fast as frames are worked on, and none is dropped."""

    def __init__(self) -> None:
        self._credit = threading.Semaphore(1)

    def wait(self, due_ns: int, timeout_s: float) -> bool:
        """See `Pace`."""
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

    def wait(self, due_ns: int, timeout_s: float) -> bool:
        """See `Pace`."""
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

    def __init__(self, recording: Recording, pace: Pace, is_looped: bool) -> None:
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

    def taken(self) -> None:
        """See `Camera`."""
        self._pace.taken()

    def published(self) -> None:
        """See `Camera`."""
        self._pace.published()

    def close(self) -> None:
        """See `Camera`; lets go of the recording, which is open as long as frames are read."""
        self._frames.close()


PACES: Final[dict[str, Callable[[], Pace]]] = {"recorded": RecordedPace, "flat_out": FlatOut, "lockstep": Lockstep}


def open_replay(config: ReplayConfig) -> ReplayCamera:
    """The replay camera of a configuration.

    Raises RecordingError if the recording cannot be read.
    """
    recording = open_recording(config.path, config.topic, config.png_folder)
    return ReplayCamera(recording, PACES[config.pace](), config.loop)


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
