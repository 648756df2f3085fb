"""What the daemon asks of a camera, and the one place that opens one by its configured kind."""

from typing import Protocol

from handmap.values import DepthFrame

from .settings import CameraConfig


class Camera(Protocol):
    """A source of depth frames with times of CLOCK_MONOTONIC. One thread reads it; `close` may come from another."""

    name: str

    def wait_frame(self, timeout_s: float) -> DepthFrame | None:
        """The next frame, or None if none came in time or the stream has ended.

        Raises CameraLost if the camera went away.
        """
        ...

    @property
    def has_ended(self) -> bool:
        """Whether no frame will ever come again; a live camera never ends."""
        ...

    def taken(self) -> None:
        """Says that a frame was taken up by the loop; a live camera does not care."""
        ...

    def published(self) -> None:
        """Says that the frame taken last was published; a live camera does not care."""
        ...

    def close(self) -> None:
        """Frees the device and ends a `wait_frame` in another thread soon."""
        ...


def open_camera(config: CameraConfig) -> Camera:
    """The camera that the configuration names.

    Raises CameraLost if it is not there now, Fatal if it cannot be used as configured.
    """
    from .replay import open_replay  # rosbags is loaded only where it is chosen

    return open_replay(config)
