"""What the readers of public data sets share: facts about a set, frames that are read one by one, published cubes, notes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np

from handmap.files.images import read_depth_png
from handmap.geometry.visibility import joints_in_sight
from handmap.recording.datasets import LabeledCube, LabeledFrame, label_center
from handmap.types.arrays import Float32, Float64, Uint16
from handmap.types.errors import DatasetError, RecordingError
from handmap.types.intrinsics import Intrinsics
from handmap.types.joints import HAND21
from handmap.types.values import DepthFrame, Handedness, TimestampSource

from ..synthesis.observe import FRAME_NS

# What to do about a frame of a set whose lines name their images. Centers are matched to labels by their order.
LINE_FIX: Final = (
    "unpack the set again, correct the line, or take it out (with centers=FILE the frame's line there as well)"
)
IMAGE_FIX: Final = "unpack the set again, or take its label out (with centers=FILE its line there as well)"
UNPACK: Final = "unpack the set again"

# A joint of hand21 as a sum of a set's own joints, by their places in its files, each with its weight.
JointSum = Mapping[int, float]


@dataclass(frozen=True)
class SetFacts:
    """What is known about a data set.

    joints names its joints in the order of its files; hand21 says how to make a joint of ours of them, where that can be done;
    doubt_mm is how far off a joint may be for being made so. is_y_up is about labels and center files;
    image_fix is what to do about a missing image.
    """

    title: str
    intrinsics: Intrinsics
    handedness: Handedness
    joints: tuple[str, ...]
    hand21: Mapping[str, JointSum]
    doubt_mm: Mapping[str, float]
    is_y_up: bool
    layout: str
    depth_unit_mm: float = 1.0
    image_fix: str = UNPACK

    @property
    def missing(self) -> tuple[str, ...]:
        """The joints of hand21 that have no label."""
        return tuple(name for name in HAND21 if name not in self.hand21)


class SetFrame(NamedTuple):
    """One frame of a set: its image, its own joints (J, 3) in the camera frame in mm, y down, its cube's side, and where its label is."""

    image: Path
    joints_mm: Float64
    cube_mm: float
    place: str


class SetFrames(Protocol):
    """The frames of a set in the order of its files; only labels are read, and only of the frame that is asked for."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> SetFrame: ...


@dataclass(frozen=True)
class PublicSet:
    """A public data set, or one of its splits.

    kept are the places in `frames` of what it yields; centers_mm (len(frames), 3) are the published centers, if a file of them
    was named, in the camera frame.
    """

    name: str
    facts: SetFacts
    frames: SetFrames
    read_depth: Callable[[Path], Uint16]
    kept: Sequence[int]
    notes: tuple[str, ...]
    centers_mm: Float64 | None = None
    joint_names: tuple[str, ...] = HAND21

    @property
    def handedness(self) -> Handedness:
        """Of every hand in it."""
        return self.facts.handedness

    def __len__(self) -> int:
        return len(self.kept)

    def __iter__(self) -> Iterator[LabeledFrame]:
        doubt_mm = doubts_mm(self.facts)
        for number, index in enumerate(self.kept):
            found = self.frames[index]
            frame = DepthFrame(
                self._depth(found), self.facts.depth_unit_mm, self.facts.intrinsics, number, number * FRAME_NS,
                TimestampSource.RECORDING,
            )  # fmt: skip
            joints = to_hand21(found.joints_mm, self.facts)
            center = label_center(found.joints_mm) if self.centers_mm is None else self.centers_mm[index]
            cube = LabeledCube(center.astype(np.float32), found.cube_mm)
            is_seen = joints_in_sight(joints, frame)
            yield LabeledFrame(frame, joints, is_seen, self.facts.handedness, doubt_mm, cube)

    def _depth(self, found: SetFrame) -> Uint16:
        if not found.image.is_file():
            raise DatasetError(
                f"data set {self.name!r}, {found.place}: its image {str(found.image)!r} is not there; "
                f"{self.facts.image_fix}"
            )
        try:
            depth = self.read_depth(found.image)
        except RecordingError as error:
            raise DatasetError(f"data set {self.name!r}, {found.place}: {error}") from error
        wanted = (self.facts.intrinsics.height_px, self.facts.intrinsics.width_px)
        if depth.shape != wanted:
            raise DatasetError(
                f"data set {self.name!r}, {found.place}: image {str(found.image)!r} has the size {depth.shape}, wanted {wanted} "
                f"as {self.facts.title} has it; use the images as published"
            )
        return depth


def read_published_png(path: Path) -> Uint16:
    """The raw depth (height, width) of a 16-bit image of a set.

    Raises RecordingError if it is not one.
    """
    return read_depth_png(path, UNPACK)


def to_hand21(joints_mm: Float64, facts: SetFacts) -> Float32:
    """The joints (21, 3) of a set's own (J, 3); NaN where there is no label."""
    joints: Float32 = np.full((len(HAND21), 3), np.nan, np.float32)
    for row, name in enumerate(HAND21):
        if name in facts.hand21:
            joints[row] = np.sum([weight * joints_mm[place] for place, weight in facts.hand21[name].items()], axis=0)
    return joints


def doubts_mm(facts: SetFacts) -> Float32 | None:
    """The doubt (21,) of the labels in mm; None where they are taken as they are."""
    if not facts.doubt_mm:
        return None
    return np.array([facts.doubt_mm.get(name, 0.0) for name in HAND21], np.float32)


def joint_notes(facts: SetFacts) -> tuple[str, ...]:
    """What there is to say of the joints and intrinsics of a set, as clauses."""
    lens = facts.intrinsics
    missing = f"no label for {', '.join(facts.missing)}" if facts.missing else "all 21 joints are labeled"
    summed = [name for name in facts.hand21 if len(facts.hand21[name]) > 1]
    made = (f"{len(summed)} joints are computed from the set's, which lie elsewhere",) if summed else ()
    return (
        f"{facts.title}: {missing}",
        *made,
        "visible joints are those with depth at their pixel and nothing in front of their flesh",
        f"intrinsics fx {lens.fx_px:g}, fy {lens.fy_px:g}, center ({lens.cx_px:g}, {lens.cy_px:g})",
    )


def open_folder(name: str, path: str, facts: SetFacts) -> Path:
    """The folder of a set.

    Raises DatasetError with the layout that is wanted if there is none.
    """
    folder = Path(path)
    if not path or not folder.is_dir():
        raise DatasetError(f"data set {name!r}: {path!r} is not a folder; name the one that holds {facts.layout}")
    return folder
