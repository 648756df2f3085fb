"""A labeled recording, or a folder of PNGs with a label file, as a data set: `recording:PATH`, or its path alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from handmap.recording.datasets import Dataset, LabeledFrame, OneHanded, split_options
from handmap.recording.reader import Recording, open_recording
from handmap.recording.stated import MAX_UNIT_MM, RecordingAt, Unit, read_stated
from handmap.types.errors import ConfigError, DatasetError
from handmap.types.joints import HAND21
from handmap.types.values import Handedness

OPTIONS: Final = {
    "topic": "TOPIC of the depth",
    "depth_unit_mm": "MILLIMETERS per raw step",
    "intrinsics": "FILE.yaml with fx_px, fy_px, cx_px and cy_px",
}


@dataclass(frozen=True)
class RecordedSet:
    """The labeled frames of a recording."""

    name: str
    recording: Recording
    joint_names: tuple[str, ...] = HAND21

    @property
    def handedness(self) -> Handedness:
        """Of every labeled hand, if the recording says so once for all."""
        return self.recording.handedness if isinstance(self.recording, OneHanded) else Handedness.UNKNOWN

    def __len__(self) -> int:
        return self.recording.labeled_count()

    def __iter__(self) -> Iterator[LabeledFrame]:
        return self.recording.labeled()


def open_recorded(which: str) -> Dataset:
    """The recording at a path with its labels; `which` may end in the options of OPTIONS.

    Raises RecordingError if there is none or it has no labels, DatasetError if an option is wrong.
    """
    name = f"recording:{which}"
    path, options = split_options(which, OPTIONS, name)
    unit_mm = _read_unit(options["depth_unit_mm"], name) if "depth_unit_mm" in options else None
    try:
        stated = read_stated(options.get("topic"), unit_mm, options.get("intrinsics"))
    except ConfigError as error:
        raise DatasetError(f"data set {name!r}: {error}") from error
    recording = open_recording(RecordingAt(Path(path), stated))
    recording.labeled_count()  # one without labels is refused at once
    return RecordedSet(name, recording)


def _read_unit(text: str, name: str) -> float:
    try:
        return msgspec.convert(float(text), Unit)
    except ValueError as error:  # msgspec.ValidationError is one
        raise DatasetError(
            f"data set {name!r}: found depth_unit_mm={text}, wanted the millimeters of a raw step, above 0 and up to "
            f"{MAX_UNIT_MM:.0f}"
        ) from error
