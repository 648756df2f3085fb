"""Labeled data sets by name, the same for every verb: `synthetic:val`, `nyu:/data/nyu,split=test`, or a labeled recording's path.

A name is `kind:which`, and `which` may end in options, `,key=value`. A part registers the opener of a kind in the entry-point
group `handmap.datasets`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import numpy as np

from handmap.types.arrays import Bool, Float32, Float64
from handmap.types.errors import DatasetError
from handmap.types.values import DepthFrame, Handedness

GROUP: Final = "handmap.datasets"
OPTION: Final = re.compile(r",([a-z][a-z0-9_]*)=([^,]*)$")


@dataclass(frozen=True)
class LabeledCube:
    """Where a data set's publishers cut the hand out: the center (3,) in the camera frame and the side of the cube, mm."""

    center_mm: Float32
    side_mm: float


@dataclass(frozen=True)
class LabeledFrame:
    """A depth frame and the true joints (J, 3) of one hand in the camera frame, mm; is_visible (J,) marks joints the camera sees.

    A joint without a label is NaN and not visible. doubt_mm (J,) is how far off each label may be, as a standard deviation of
    its position in mm; None if the labels are taken for exact. cube is the published crop, if there is one.
    """

    frame: DepthFrame
    xyz_camera_mm: Float32
    is_visible: Bool
    handedness: Handedness
    doubt_mm: Float32 | None = None
    cube: LabeledCube | None = None

    @property
    def is_labeled(self) -> Bool:
        """Which joints (J,) have a label."""
        return labeled_joints(self.xyz_camera_mm)

    @property
    def center_mm(self) -> Float32:
        """The center (3,) of the published cube, else that of the labels; NaN if there is neither."""
        return label_center(self.xyz_camera_mm) if self.cube is None else self.cube.center_mm


@dataclass(frozen=True)
class KindFrame:
    """A depth frame of one kind and the hands in it: none, or the main hand followed by any others."""

    kind: str
    frame: DepthFrame
    hands: tuple[LabeledFrame, ...]


class Dataset(Protocol):
    """A named sequence of labeled frames in a fixed order."""

    @property
    def name(self) -> str: ...
    @property
    def joint_names(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[LabeledFrame]: ...


@runtime_checkable
class KindDataset(Protocol):
    """A data set scored by kind, including negatives; as a `Dataset` it yields the frames with a hand, labeled with the first."""

    @property
    def name(self) -> str: ...
    @property
    def joint_names(self) -> tuple[str, ...]: ...

    def kind_frames(self, max_frames: int | None = None) -> Iterator[KindFrame]:
        """All frames, or the first `max_frames`, in a fixed order; kinds alternate."""
        ...

    def count_frames(self) -> int:
        """The number of frames, including those without a hand."""
        ...


@runtime_checkable
class OneHanded(Protocol):
    """Data of left hands only, or of right hands only; UNKNOWN if it cannot say."""

    @property
    def handedness(self) -> Handedness: ...


@runtime_checkable
class NotedDataset(Protocol):
    """A data set that has something to say about itself, which reports repeat."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Clauses: which joints have no label, where the cubes come from, which intrinsics are used."""
        ...


def open_dataset(name: str) -> Dataset:
    """The data set named `kind:which`, opened by the part that registered the kind, or the labeled recording at a path.

    Raises DatasetError if no part did, or the part refuses `which`.
    """
    kind, _, which = name.partition(":")
    openers = {entry.name: entry for entry in entry_points(group=GROUP)}
    if not is_dataset_name(name):
        kind, which = "recording", name
    if kind not in openers:
        known = ", ".join(sorted(openers)) or "none (is the package installed?)"
        raise DatasetError(
            f"data set {name!r}: no installed part opens the kind {kind!r}; wanted the path of a labeled recording, or "
            f"kind:which with one of the kinds {known}"
        )
    opener: Callable[[str], Dataset] = openers[kind].load()
    return opener(which)


def labeled_joints(xyz_mm: Float32 | Float64) -> Bool:
    """Which joints (J,) of labels (J, 3) are there: a joint without a label is NaN."""
    is_there: Bool = np.asarray(np.isfinite(xyz_mm).all(axis=-1))
    return is_there


def label_center(xyz_mm: Float32 | Float64) -> Float32:
    """The middle (3,) of the bounding box of the labeled joints of (J, 3); NaN if there is none."""
    there = xyz_mm[labeled_joints(xyz_mm)]
    if len(there) == 0:
        return np.full(3, np.nan, np.float32)
    center: Float32 = ((there.min(axis=0) + there.max(axis=0)) / 2).astype(np.float32)
    return center


def is_dataset_name(name: str) -> bool:
    """Whether a name is of the form `kind:which` rather than a path."""
    kind, colon, _ = name.partition(":")
    return bool(colon) and "/" not in kind and not Path(name).exists()


def split_options(which: str, known: Mapping[str, str], dataset: str) -> tuple[str, dict[str, str]]:
    """What comes before the options of a name, and the options by key; `known` says of each key what it takes.

    Raises DatasetError for a key that is not known or given twice, or an empty value; and if there is nothing else.
    """
    options: dict[str, str] = {}
    while found := OPTION.search(which):
        key, value = found.groups()
        wanted = ", ".join(f"{name}={meaning}" for name, meaning in known.items()) or "none"
        if key not in known or not value or key in options:
            fault = f"option {key!r} " + (
                "is not known" if key not in known else "is given twice" if value else "is empty"
            )
            raise DatasetError(f"data set {dataset!r}: {fault}; options are: {wanted}")
        options[key] = value
        which = which[: found.start()]
    if not which.strip():  # as of a variable that is not set; it would be the current folder
        raise DatasetError(
            f"data set {dataset!r}: found no path in its name, wanted kind:path or the path of a labeled recording; name the data"
        )
    return which, options
