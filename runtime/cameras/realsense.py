"""The RealSense camera through its SDK: configuration, opening and frames. The only module that imports pyrealsense2, and
only when this camera is opened.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np

from handmap.engines.mapped_memory import wrap_camera_frame
from handmap.recording.cameras import CameraSource
from handmap.types.arrays import Array
from handmap.types.errors import CameraLost, ConfigError, DependencyError, RecordingError
from handmap.types.values import DepthFrame, TimestampSource

from .realsense_clock import CameraClock
from .realsense_device import (
    choose_device,
    choose_profile,
    describe,
    lens_of,
    refuse_slow_link,
    serial_of,
    set_options,
    unit_mm_of,
)  # fmt: skip
from .realsense_recovery import Recovery, SdkFailed, sdk_errors, take_step

STALL_S: Final = 0.5  # the stream has stalled if no frame comes for this long and for STALL_FRAMES
STALL_FRAMES: Final = 5
FIRST_FRAME_S: Final = 3.0  # a D400 delivers its first depth frame within about a second of starting

ListDevices = Callable[[], Sequence[Any]]


def load_sdk() -> Any:
    """The module pyrealsense2.

    Raises DependencyError if it or one of its system libraries is not installed.
    """
    try:
        import pyrealsense2
    except ImportError as error:
        raise DependencyError(
            f"camera: the RealSense SDK cannot be loaded ({error}); install it with: apt install libusb-1.0-0 libudev1 "
            "&& pip install pyrealsense2"
        ) from error
    return pyrealsense2


def copy_depth(frame: Any) -> Array:
    """The depth image (height, width) uint16 of an SDK frame, copied."""
    return np.array(np.asanyarray(frame.get_data()), np.uint16)


class RealSenseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="realsense"):
    """A RealSense depth camera, or a file recorded with its SDK that stands in for one.

    A setting that the device does not support is refused, and the error lists what it supports.
    """

    serial: str | None = None  # required if several cameras are plugged in; null: the only one
    width_px: Annotated[int, msgspec.Meta(ge=1, le=8192)] = 640  # width of the depth image
    height_px: Annotated[int, msgspec.Meta(ge=1, le=8192)] = 480  # height of the depth image
    fps: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 60  # frame rate
    preset: str | None = None  # default, hand, high_accuracy, high_density or medium_density; null: the device's own
    laser_power: Annotated[float, msgspec.Meta(ge=0)] | None = (
        None  # in the device's unit, mW on a D400; 0: projector off
    )
    exposure_us: Annotated[float, msgspec.Meta(gt=0)] | None = None  # exposure time; null: automatic
    gpu_frames: bool = (
        False  # true: a GPU engine reads frames in place, without a copy (SDK 2.59 on a board); not measured
    )
    playback: Path | None = None  # a .db3 or .bag file to play at its own size and rate; excludes the camera's options

    def __post_init__(self) -> None:
        if self.playback is not None and (self.serial, self.preset, self.laser_power, self.exposure_us) != (None,) * 4:
            raise ValueError("with playback, leave out serial, preset, laser_power and exposure_us")

    def check(self) -> None:
        """Raises ConfigError if the playback file does not exist."""
        if self.playback is not None and not self.playback.is_file():
            raise ConfigError(f"camera: no file at {str(self.playback)!r}; correct camera.playback")

    def source(self) -> CameraSource:
        """See `CameraConfig`; raises DependencyError if the SDK is not installed."""
        return CameraSource(RealSenseSource(self).open)


class RealSenseSource:
    """Opens the configured camera, as often as needed, and remembers which one it was and which recovery steps were tried."""

    def __init__(self, config: RealSenseConfig, list_devices: ListDevices | None = None) -> None:
        self._rs = load_sdk()
        self._config = config
        # A new context each time: one that has seen a device reset or hang can hold on to stale state.
        self._list_devices = list_devices or (lambda: list(self._rs.context().query_devices()))
        self._serial = config.serial
        self._recovery = Recovery()

    def open(self) -> "RealSenseCamera":
        """The camera, streaming.

        Raises CameraLost if it is missing or does not start, ConfigError if it does not support the settings,
        RecordingError if the playback file cannot be read, RestartRequired if every recovery step failed.
        """
        config = self._config
        if config.playback is not None:
            return self._open_playback(str(config.playback))
        device: Any = None
        try:
            with sdk_errors("looking for it"):
                device = choose_device(self._rs, self._list_devices(), self._serial)
            with sdk_errors("opening it"):
                refuse_slow_link(self._rs, device)
                sensor = device.first_depth_sensor()
                set_options(self._rs, sensor, config.preset, config.exposure_us, config.laser_power)
                camera = self._stream(device, sensor)
        except SdkFailed:
            if device is not None:  # it is on the bus but does not open
                take_step(self._recovery, device, None)
            raise
        self._serial = serial_of(self._rs, device) or None
        return camera

    def _open_playback(self, path: str) -> "RealSenseCamera":
        try:
            device = self._rs.context().load_device(path)
            return self._stream(device, device.first_depth_sensor())
        except RuntimeError as error:
            raise RecordingError(
                f"camera: playback {path!r} cannot be played ({error}); use a file recorded with the RealSense SDK"
            ) from error

    def _stream(self, device: Any, sensor: Any) -> "RealSenseCamera":
        return RealSenseCamera(self._rs, device, sensor, self._config, self._recovery)


class RealSenseCamera:
    """A depth stream of an SDK device, from start to `close`."""

    def __init__(self, rs: Any, device: Any, sensor: Any, config: RealSenseConfig, recovery: Recovery) -> None:
        wanted = (config.width_px, config.height_px, config.fps)
        profile = choose_profile(rs, sensor, wanted, is_playback=config.playback is not None)
        self.name = f"{describe(rs, device)} {profile!r}"
        self.serial = serial_of(rs, device) or None
        self.rate_hz = float(profile.fps())
        self._rs = rs
        self._device = device
        self._sensor = sensor
        self._recovery = recovery
        self._wants_gpu_frames = config.gpu_frames
        self._playback = device.as_playback() if config.playback is not None else None
        self._intrinsics, self._undistortion = lens_of(profile)
        self._unit_mm = unit_mm_of(rs, sensor)
        self._clock = CameraClock()
        self._queue = rs.frame_queue(1)  # the newest frame; it overwrites one that was not fetched
        self._has_ended = False
        self._stall_s = max(STALL_S, STALL_FRAMES / profile.fps())
        self._due_s = time.monotonic() + FIRST_FRAME_S
        sensor.open(profile)
        sensor.start(self._queue)

    @property
    def has_ended(self) -> bool:
        """See `Camera`."""
        return self._has_ended

    def wait_frame(self, timeout_s: float) -> DepthFrame | None:
        """See `Camera`; raises RestartRequired if every recovery step failed."""
        with sdk_errors("waiting for a frame"):
            has_frame, frame = self._queue.try_wait_for_frame(max(round(timeout_s * 1000), 1))
        arrival_ns = time.monotonic_ns()
        if has_frame:
            self._recovery.frame_came()
            self._due_s = arrival_ns / 1e9 + self._stall_s
            return self._depth_frame(frame, arrival_ns)
        if self._playback is not None:
            self._has_ended = self._playback.current_status() == self._rs.playback_status.stopped
        elif arrival_ns / 1e9 > self._due_s:
            take_step(self._recovery, self._device, self._restart)
        return None

    def close(self) -> None:
        """See `Camera`."""
        with suppress(RuntimeError):  # the device is gone
            self._sensor.stop()
        with suppress(RuntimeError):
            self._sensor.close()

    def _restart(self) -> None:
        self._due_s = time.monotonic() + FIRST_FRAME_S
        with sdk_errors("restarting its stream"):
            self._sensor.stop()
            self._sensor.start(self._queue)

    def _depth_frame(self, frame: Any, arrival_ns: int) -> DepthFrame:
        capture_ns, source = self._capture_time(frame, arrival_ns)
        depth = copy_depth(frame)
        wanted = (self._intrinsics.height_px, self._intrinsics.width_px)
        if depth.shape != wanted:
            raise CameraLost(
                f"camera: a depth frame has shape {depth.shape}, wanted {wanted} as configured; it is being reopened"
            )
        on_gpu = wrap_camera_frame(frame) if self._wants_gpu_frames and self._undistortion is None else None
        depth = depth if self._undistortion is None else self._undistortion.apply(depth)
        return DepthFrame(depth, self._unit_mm, self._intrinsics, frame.get_frame_number(), capture_ns, source, on_gpu)

    def _capture_time(self, frame: Any, arrival_ns: int) -> tuple[int, TimestampSource]:
        """By the camera's clock if the frame carries it; the SDK's own arrival time is no better than ours."""
        if frame.get_frame_timestamp_domain() == self._rs.timestamp_domain.system_time:
            return arrival_ns, TimestampSource.ARRIVAL
        capture_ns = self._clock.capture_ns(round(frame.get_timestamp() * 1e6), arrival_ns)
        return capture_ns, TimestampSource.CAMERA if self._playback is None else TimestampSource.RECORDING
