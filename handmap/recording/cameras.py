"""Depth cameras: what the daemon asks of one, and of the struct that configures it.

A package brings another kind of camera by an entry point in the group `handmap.cameras`; docs/cameras.md has an example.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

import msgspec

from handmap.system.plugins import PluginGroup
from handmap.types.values import DepthFrame


class Camera(Protocol):
    """A source of depth frames with times of CLOCK_MONOTONIC. One thread reads and closes it."""

    @property
    def name(self) -> str:
        """What the log calls it."""
        ...

    def wait_frame(self, timeout_s: float) -> DepthFrame | None:
        """The next frame, or None if none came in time or the stream has ended.

        Raises CameraLost if the camera went away.
        """
        ...

    @property
    def has_ended(self) -> bool:
        """Whether no frame will ever come again; a live camera never ends."""
        ...

    def close(self) -> None:
        """Frees the device."""
        ...


class Pace(Protocol):
    """Told by whoever works on the frames how far that is; a recording may wait for it, a live camera does not."""

    def taken(self) -> None:
        """Says that a frame was taken up."""
        ...

    def published(self) -> None:
        """Says that the frame taken last was published, or that nothing will become of it."""
        ...


class OwnPace:
    """The pace of a camera that gives frames when it has them, whatever becomes of those before."""

    def taken(self) -> None:
        """Changes nothing."""

    def published(self) -> None:
        """Changes nothing."""


OWN_PACE: Final = OwnPace()


@dataclass(frozen=True)
class CameraSource:
    """What a configured camera is opened from.

    `open` is called as often as the camera is lost; what must outlive an opening lives in it. It raises CameraLost if the camera
    is not there now, Fatal if it cannot be used as configured. `is_real_time` says that capture times are those of now, so that
    a frame can be too old; the frames of a recording at a pace of its own are not.
    """

    open: Callable[[], Camera]
    pace: Pace = OWN_PACE
    is_real_time: bool = True


@runtime_checkable
class CameraConfig(Protocol):
    """The section `camera` of one kind: a frozen msgspec.Struct whose tag, in the field `kind`, is the name of its entry point."""

    def source(self) -> CameraSource:
        """What opens the camera. A library that only this camera needs is imported here, not above.

        Raises Fatal, such as DependencyError, where the camera can never be opened like this.
        """
        ...


@runtime_checkable
class Checked(Protocol):
    """A `CameraConfig` that can tell before its camera is opened whether it can be used."""

    def check(self) -> None:
        """Raises Fatal if it cannot be."""
        ...


CAMERAS: Final = PluginGroup(
    what="camera",
    group="handmap.cameras",
    contract=CameraConfig,
    advice="for another kind, install the package that brings it: docs/cameras.md",
)


def kind_of(config: CameraConfig) -> str:
    """The kind as the configuration names it."""
    assert isinstance(config, msgspec.Struct)
    return str(config.__struct_config__.tag)
