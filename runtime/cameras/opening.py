"""Opens the camera that the configuration names; the one place that knows every kind of camera."""

from collections.abc import Callable
from functools import partial

from handmap.types.values import DepthFrame

from ..faults.fault_schedule import FaultSchedule
from ..settings import CameraConfig, FaultyConfig, RealSenseConfig, ReplayConfig
from .camera import Camera


class LateCamera:
    """A camera that is opened at the first wait for a frame: opening may hang too, and then does so in the thread that reads."""

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
        """See `Camera`; the first call opens it, gives no frame, and raises what opening does."""
        if self._camera is None:
            self._camera = self._open()
            self._on_open(self._camera)
            return None
        return self._camera.wait_frame(timeout_s)

    def taken(self) -> None:
        """See `Camera`."""
        if self._camera is not None:
            self._camera.taken()

    def published(self) -> None:
        """See `Camera`."""
        if self._camera is not None:
            self._camera.published()

    def close(self) -> None:
        """See `Camera`."""
        if self._camera is not None:
            self._camera.close()


def fault_schedule(config: CameraConfig) -> FaultSchedule:
    """The schedule of a faulty camera, starting now; an empty one for any other."""
    return FaultSchedule(config.faults, config.clock_scale) if isinstance(config, FaultyConfig) else FaultSchedule()


def is_real_time(config: CameraConfig) -> bool:
    """Whether capture times are those of now, so that a frame can be too old; a replay at another pace is not."""
    if isinstance(config, FaultyConfig):
        return is_real_time(config.camera)
    return not isinstance(config, ReplayConfig) or config.pace == "recorded"


def camera_opener(config: CameraConfig, faults: FaultSchedule) -> Callable[[], Camera]:
    """What opens the configured camera, as often as it is called; what a camera must remember between two openings lives in it.

    It raises CameraLost if the camera is not there now, Fatal if it cannot be used as configured.
    """
    if isinstance(config, FaultyConfig):
        from ..faults.fault_injection import faulty_opener  # loaded only where it is chosen, like the libraries below

        return faulty_opener(camera_opener(config.camera, faults), faults)
    if isinstance(config, RealSenseConfig):
        from .realsense import RealSenseSource

        return RealSenseSource(config).open
    from .replay import open_replay

    return partial(open_replay, config)


def open_camera(config: CameraConfig) -> Camera:
    """The camera that the configuration names.

    Raises CameraLost if it is not there now, Fatal if it cannot be used as configured.
    """
    return camera_opener(config, fault_schedule(config))()
