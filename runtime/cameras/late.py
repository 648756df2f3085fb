"""A camera that is opened by the thread that reads it."""

from collections.abc import Callable

from handmap.recording.cameras import Camera
from handmap.types.values import DepthFrame


class LateCamera:
    """A camera that is opened by the first wait for a frame: opening can hang too, and must then hang in the reading thread."""

    def __init__(self, opener: Callable[[], Camera], on_open: Callable[[Camera], None]) -> None:
        self.name = "camera"
        self._open = opener
        self._on_open = on_open
        self._camera: Camera | None = None

    @property
    def has_ended(self) -> bool:
        """See `Camera`."""
        return self._camera is not None and self._camera.has_ended

    def wait_frame(self, timeout_s: float) -> DepthFrame | None:
        """See `Camera`; the first call opens the camera, returns no frame, and raises whatever opening raises."""
        if self._camera is None:
            self._camera = self._open()
            self._on_open(self._camera)
            return None
        return self._camera.wait_frame(timeout_s)

    def close(self) -> None:
        """See `Camera`."""
        if self._camera is not None:
            self._camera.close()
