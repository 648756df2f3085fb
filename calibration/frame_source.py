"""Frames to calibrate or compare on, from a recording or a named data set, with labels if there are any."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from handmap.recording.datasets import LabeledFrame, OneHanded, is_dataset_name, open_dataset
from handmap.recording.depth_range import why_no_hand
from handmap.recording.reader import Recording, open_recording
from handmap.recording.stated import NOTHING_STATED, RecordingAt, Stated
from handmap.types.arrays import Float32
from handmap.types.errors import ConfigError, DatasetError, RecordingError
from handmap.types.values import DepthFrame, Handedness


@dataclass(frozen=True)
class Sample:
    """A frame and, if known, its true joints (J, 3) in the camera frame, mm, NaN for a joint without a label."""

    frame: DepthFrame
    truth_mm: Float32 | None


class FrameSource(Protocol):
    """Samples in a fixed order; is_moving distinguishes a recording from independent frames."""

    @property
    def name(self) -> str: ...
    @property
    def is_moving(self) -> bool: ...
    @property
    def has_truth(self) -> bool: ...
    @property
    def handedness(self) -> Handedness:
        """Of every labeled hand, UNKNOWN if that is not known."""
        ...

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Sample]: ...


def open_source(name: str, stated: Stated = NOTHING_STATED) -> FrameSource:
    """The recording at path `name` if there is one, else the data set of that name: `kind:which`, the kind no path.

    Raises RecordingError or DatasetError.
    """
    if not name.strip():  # as of a variable that is not set; it would be the current folder
        raise DatasetError(
            "calibration frames: found an empty name, wanted a recording's path or kind:which; name the frames"
        )
    if is_dataset_name(name):
        return DatasetSource(name)
    return RecordingSource(name, stated)


class RecordingSource:
    """A recording; if it has labels, only its labeled frames."""

    is_moving = True

    def __init__(self, name: str, stated: Stated) -> None:
        self.name = name
        self._recording = open_recording(RecordingAt(Path(name), stated))
        self.handedness = _handedness_of(self._recording)
        self.has_truth = _has_labels(self._recording)

    def __len__(self) -> int:
        return self._recording.labeled_count() if self.has_truth else len(self._recording)

    def __iter__(self) -> Iterator[Sample]:
        if self.has_truth:
            return (Sample(found.frame, found.xyz_camera_mm) for found in self._recording.labeled())
        return (Sample(frame, None) for frame in self._recording)

    def why_no_hand(self) -> str | None:
        """What speaks against there being a hand in it, as a clause."""
        return why_no_hand(self._recording)


class DatasetSource:
    """A registered data set."""

    is_moving = False
    has_truth = True

    def __init__(self, name: str) -> None:
        self.name = name
        self._dataset = open_dataset(name)
        self.handedness = _handedness_of(self._dataset)

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[Sample]:
        return (Sample(found.frame, found.xyz_camera_mm) for found in self._dataset)


@dataclass(frozen=True)
class FirstSamples:
    """The first `max_count` samples of another source."""

    whole: FrameSource
    max_frames: int

    @property
    def name(self) -> str:
        """The name of the full source."""
        return self.whole.name

    @property
    def is_moving(self) -> bool:
        """As of the whole."""
        return self.whole.is_moving

    @property
    def has_truth(self) -> bool:
        """As of the whole."""
        return self.whole.has_truth

    @property
    def handedness(self) -> Handedness:
        """As of the whole."""
        return self.whole.handedness

    def __len__(self) -> int:
        return min(len(self.whole), self.max_frames)

    def __iter__(self) -> Iterator[Sample]:
        return islice(iter(self.whole), self.max_frames)


def refuse_other_hand(frame_source: FrameSource, hand: str) -> None:
    """Raises ConfigError if a source is known to show the other hand than the one asked for."""
    known = {Handedness.LEFT: "left", Handedness.RIGHT: "right"}.get(frame_source.handedness)
    if frame_source.has_truth and known not in (None, hand):
        raise ConfigError(
            f"data {frame_source.name!r}: its hands are {known}, but the {hand} hand was asked for; say --handedness {known}"
        )


def _handedness_of(data: object) -> Handedness:
    return data.handedness if isinstance(data, OneHanded) else Handedness.UNKNOWN


def _has_labels(recording: Recording) -> bool:
    found: LabeledFrame | None
    try:
        found = next(iter(recording.labeled()), None)
    except RecordingError:
        return False
    return found is not None
