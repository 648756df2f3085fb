"""What the daemon asks of a camera."""

from typing import Protocol

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

    def taken(self) -> None:
        """Says that a frame was taken up by the loop; a live camera does not care."""
        ...

    def published(self) -> None:
        """Says that the frame taken last was published; a live camera does not care."""
        ...

    def close(self) -> None:
        """Frees the device."""
        ...
