"""Labeled data sets by name: `synthetic:val`, `nyu:/path`. A part registers an opener in the entry-point group `handmap.datasets`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol, runtime_checkable

from handmap.types.arrays import Bool, Float32
from handmap.types.errors import DatasetError
from handmap.types.values import DepthFrame, Handedness

GROUP = "handmap.datasets"


@dataclass(frozen=True)
class LabeledFrame:
    """A depth frame and the true joints (J, 3) of one hand in the camera frame, mm; is_visible (J,) marks joints the camera sees."""

    frame: DepthFrame
    xyz_camera_mm: Float32
    is_visible: Bool
    handedness: Handedness


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


def open_dataset(name: str) -> Dataset:
    """The data set named `kind:which`, opened by the part that registered the kind.

    Raises DatasetError if no part did, or the part refuses `which`.
    """
    kind, _, which = name.partition(":")
    openers = {entry.name: entry for entry in entry_points(group=GROUP)}
    if kind not in openers:
        known = ", ".join(sorted(openers)) or "none (is the package installed?)"
        raise DatasetError(f"data set {name!r}: no installed part opens the kind {kind!r}; known kinds: {known}")
    opener: Callable[[str], Dataset] = openers[kind].load()
    return opener(which)
