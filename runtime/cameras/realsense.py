"""The RealSense camera by its own SDK: configuration, opening and frames. Home of pyrealsense2, which is loaded only where this
camera is opened.
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
    intrinsics_of,
    refuse_slow_link,
    serial_of,
    set_options,
    unit_mm_of,
)  # fmt: skip
from .realsense_recovery import Recovery, SdkFailed, sdk_errors, take_step

STALL_S: Final = 0.5  # without a frame for so long, and for STALL_FRAMES, the stream has stalled
STALL_FRAMES: Final = 5
FIRST_FRAME_S: Final = 3.0  # a D400 gives its first depth frame within about a second of its start

ListDevices = Callable[[], Sequence[Any]]


def load_sdk() -> Any:
    """The module pyrealsense2.

    Raises DependencyError where it is not installed or its system libraries are not.
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
    """The depth image (height, width) uint16 of an SDK frame, in memory of its own."""
    return np.array(np.asanyarray(frame.get_data()), np.uint16)


class RealSenseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="realsense"):
    """A RealSense depth camera, or a file that its SDK recorded in the role of one.

    What the device does not offer is refused with what it does.
    """

    serial: str | None = None  # which camera, where more than one is plugged in; null: the only one
    width_px: Annotated[int, msgspec.Meta(ge=1, le=8192)] = 640  # of the depth image
    height_px: Annotated[int, msgspec.Meta(ge=1, le=8192)] = 480  # of the depth image
    fps: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 60  # frames a second
    preset: str | None = (
        None  # default, hand, high_accuracy, high_density or medium_density; null: as the device has it
    )
    laser_power: Annotated[float, msgspec.Meta(ge=0)] | None = (
        None  # in the device's unit, mW for D400; 0: projector off
    )
    exposure_us: Annotated[float, msgspec.Meta(gt=0)] | None = None  # null: the camera exposes by itself
    gpu_frames: bool = (
        False  # true: a GPU engine reads frames where SDK 2.59 of a board keeps them, without a copy; not measured
    )
    playback: Path | None = None  # a .db3 or .bag file to play; its own size and rate hold, options cannot be given

    def __post_init__(self) -> None:
        if self.playback is not None and (self.serial, self.preset, self.laser_power, self.exposure_us) != (None,) * 4:
            raise ValueError("with playback, serial, preset, laser_power and exposure_us must be left out")

    def check(self) -> None:
        """Raises ConfigError if the file to play is not there."""
        if self.playback is not None and not self.playback.is_file():
            raise ConfigError(f"camera: no file at {str(self.playback)!r}; correct camera.playback")

    def source(self) -> CameraSource:
        """See `CameraConfig`; raises DependencyError where the SDK is not installed."""
        return CameraSource(RealSenseSource(self).open)


class RealSenseSource:
    """Opens the configured camera, as often as it is asked to, and remembers which one that was and what recovery was tried."""

    def __init__(self, config: RealSenseConfig, list_devices: ListDevices | None = None) -> None:
        self._rs = load_sdk()
        self._config = config
        # A new context each time: one that has seen a device reset or hang may keep to what it knew.
        self._list_devices = list_devices or (lambda: list(self._rs.context().query_devices()))
        self._serial = config.serial
        self._recovery = Recovery()

    def open(self) -> "RealSenseCamera":
        """The camera, streaming.

        Raises CameraLost if it is not there or does not start, ConfigError if it cannot do what is asked, RecordingError for a
        playback file that cannot be read, RestartRequired where all recovery was in vain.
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
            if device is not None:  # it is on the bus and does not open
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
                f"camera: playback {path!r} cannot be played ({error}); name a file that the RealSense SDK recorded"
            ) from error

    def _stream(self, device: Any, sensor: Any) -> "RealSenseCamera":
        return RealSenseCamera(self._rs, device, sensor, self._config, self._recovery)


class RealSenseCamera:
    """A depth stream of an SDK device, from its start to `close`."""

    def __init__(self, rs: Any, device: Any, sensor: Any, config: RealSenseConfig, recovery: Recovery) -> None:
        wanted = (config.width_px, config.height_px, config.fps)
        profile = choose_profile(rs, sensor, wanted, is_playback=config.playback is not None)
        self.name = f"{describe(rs, device)} {profile!r}"
        self._rs = rs
        self._device = device
        self._sensor = sensor
        self._recovery = recovery
        self._wants_gpu_frames = config.gpu_frames
        self._playback = device.as_playback() if config.playback is not None else None
        self._lens = intrinsics_of(rs, profile)
        self._unit_mm = unit_mm_of(rs, sensor)
        self._clock = CameraClock()
        self._queue = rs.frame_queue(1)  # the newest frame; one that was not fetched is overwritten
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
        """See `Camera`; raises RestartRequired where all recovery was in vain."""
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
        with suppress(RuntimeError):  # of a device that is gone
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
        wanted = (self._lens.height_px, self._lens.width_px)
        if depth.shape != wanted:
            raise CameraLost(
                f"camera: a depth frame has shape {depth.shape}, wanted {wanted} as was set; it is opened anew"
            )
        on_gpu = wrap_camera_frame(frame) if self._wants_gpu_frames else None
        return DepthFrame(depth, self._unit_mm, self._lens, frame.get_frame_number(), capture_ns, source, on_gpu)

    def _capture_time(self, frame: Any, arrival_ns: int) -> tuple[int, TimestampSource]:
        """By the camera's clock if the frame has its time; the SDK's own arrival time says no more than ours."""
        if frame.get_frame_timestamp_domain() == self._rs.timestamp_domain.system_time:
            return arrival_ns, TimestampSource.ARRIVAL
        capture_ns = self._clock.capture_ns(round(frame.get_timestamp() * 1e6), arrival_ns)
        return capture_ns, TimestampSource.CAMERA if self._playback is None else TimestampSource.RECORDING
