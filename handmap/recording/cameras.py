"""Protocols for depth cameras and the structs that configure them.

A package adds a kind of camera with an entry point in the group `handmap.cameras`; docs/cameras.md has an example.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

import msgspec

from handmap.system.plugins import PluginGroup
from handmap.types.values import DepthFrame


class Camera(Protocol):
    """A source of depth frames with CLOCK_MONOTONIC timestamps. The same thread reads and closes it."""

    @property
    def name(self) -> str:
        """Its name in the log."""
        ...

    def wait_frame(self, timeout_s: float) -> DepthFrame | None:
        """The next frame, or None on timeout or if the stream has ended.

        Raises CameraLost if the camera has disconnected.
        """
        ...

    @property
    def has_ended(self) -> bool:
        """Whether no more frames will come; a live camera never ends."""
        ...

    def close(self) -> None:
        """Frees the device."""
        ...


@runtime_checkable
class Numbered(Protocol):
    """A `Camera` that knows the serial number of its device."""

    @property
    def serial(self) -> str | None:
        """The serial number; None if the device has none."""
        ...


@runtime_checkable
class Rated(Protocol):
    """A `Camera` that knows how often it should deliver a frame."""

    @property
    def rate_hz(self) -> float | None:
        """Frames per second that were asked of it; None if it has no rate of its own."""
        ...


class Pace(Protocol):
    """Notified about the processing of frames; a recording can wait for it, a live camera does not."""

    def taken(self) -> None:
        """Reports that a frame was taken for processing."""
        ...

    def published(self) -> None:
        """Reports that the frame taken last was published, or never will be."""
        ...


class OwnPace:
    """The pace of a camera that delivers frames when it has them, whatever happens to earlier ones."""

    def taken(self) -> None:
        """Does nothing."""

    def published(self) -> None:
        """Does nothing."""


OWN_PACE: Final = OwnPace()


@dataclass(frozen=True)
class CameraSource:
    """Opens a configured camera.

    `open` is called again each time the camera is lost; state that must survive reopening lives in it. It raises CameraLost
    if the camera is currently missing, Fatal if it cannot be used as configured. `is_real_time` means that capture times are
    current, so that a frame can be too old; the frames of a recording at its own pace are not.
    """

    open: Callable[[], Camera]
    pace: Pace = OWN_PACE
    is_real_time: bool = True


@runtime_checkable
class CameraConfig(Protocol):
    """A `camera` section of one kind: a frozen msgspec.Struct, tagged in the field `kind` with the name of its entry point."""

    def source(self) -> CameraSource:
        """The source that opens the camera. Import libraries that only this camera needs here, not at module level.

        Raises Fatal, such as DependencyError, if the camera can never be opened like this.
        """
        ...


@runtime_checkable
class Checked(Protocol):
    """A `CameraConfig` that can check whether it is usable before its camera is opened."""

    def check(self) -> None:
        """Raises Fatal if it is not usable."""
        ...


CAMERAS: Final = PluginGroup(
    what="camera",
    group="handmap.cameras",
    contract=CameraConfig,
    advice="for another kind, install the package that provides it: docs/cameras.md",
)


def kind_of(config: CameraConfig) -> str:
    """The kind, as written in the configuration."""
    assert isinstance(config, msgspec.Struct)
    return str(config.__struct_config__.tag)
