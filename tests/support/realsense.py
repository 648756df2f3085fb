"""The RealSense SDK without a camera: its software device, and recordings that the SDK itself writes."""

import ctypes
import importlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from handmap.types.values import DepthFrame


def sdk() -> ModuleType:
    """The module pyrealsense2 with its libusb, or a skipped test."""
    try:
        ctypes.CDLL(_libusb(), ctypes.RTLD_GLOBAL)
    except OSError:
        pytest.skip("neither libusb-package nor libusb-1.0 is installed")
    module: ModuleType = pytest.importorskip("pyrealsense2", reason="pyrealsense2 is not installed")
    return module


def sdk_environment() -> dict[str, str]:
    """The environment of a process that can import pyrealsense2 by itself."""
    return {**os.environ, "LD_PRELOAD": _libusb()}


def _libusb() -> str:
    """What the loader finds libusb by: the file in libusb-package, else its name, for the system's."""
    try:
        package = importlib.import_module("libusb_package")
    except ImportError:
        return "libusb-1.0.so.0"
    return str(package.get_library_path())


class SoftwareCamera:
    """A device of the SDK in software: one depth stream of a frame's size at each of the rates, options, and frames on demand."""

    def __init__(self, like: DepthFrame, serial: str = "", rates: tuple[int, ...] = (30,)) -> None:
        self._rs = rs = sdk()
        self._lens, self._unit_mm = like.intrinsics, like.depth_unit_mm
        self.device = rs.software_device()
        if serial:
            self.device.register_info(rs.camera_info.serial_number, serial)
        self.sensor = self.device.add_sensor("Depth")
        streams = [_video_stream(rs, like, uid, fps) for uid, fps in enumerate(rates)]
        self._profile = [self.sensor.add_video_stream(stream) for stream in streams][-1]
        self.sensor.add_read_only_option(rs.option.depth_units, self._unit_mm / 1000)

    def offer(self, option: object, low: float, high: float, step: float) -> None:
        """Adds an option that can be set within this range; it stands at the least."""
        bounds = self._rs.option_range()
        bounds.min, bounds.max, bounds.step, bounds.default = low, high, step, low
        self.sensor.add_option(option, bounds, True)

    def show(self, frame: DepthFrame, domain: str = "hardware_clock") -> None:
        """Sends a frame to whoever streams, stamped with its capture time in the clock of this domain."""
        rs = self._rs
        shown = rs.software_video_frame()
        shown.pixels = np.ascontiguousarray(frame.depth)
        shown.stride, shown.bpp, shown.depth_units = self._lens.width_px * 2, 2, self._unit_mm / 1000
        shown.timestamp, shown.domain = frame.capture_ns / 1e6, getattr(rs.timestamp_domain, domain)
        shown.frame_number, shown.profile = frame.frame_number + 1, self._profile.as_video_stream_profile()
        self.sensor.on_video_frame(shown)


def write_sdk_recording(path: Path, frames: Iterable[DepthFrame], spacing_s: float = 0.002) -> Path:
    """A .db3 file with the frames, recorded by the SDK from a software device, and played by it at this spacing."""
    rs = sdk()
    stream: list[DepthFrame] = list(frames)
    camera = SoftwareCamera(stream[0])
    recorder = rs.recorder(str(path), camera.device)
    (sensor,) = recorder.query_sensors()
    taken = rs.frame_queue(len(stream))
    sensor.open(sensor.get_stream_profiles()[0])
    sensor.start(taken)
    for frame in stream:
        camera.show(frame)
        taken.wait_for_frame()  # the recorder drops what comes faster than it writes
        time.sleep(spacing_s)
    sensor.stop()
    sensor.close()
    del sensor, recorder, camera  # the file is finished by the recorder's destructor
    importlib.import_module("gc").collect()
    return path


def _video_stream(rs: ModuleType, frame: DepthFrame, uid: int, fps: int) -> object:
    intrinsics = frame.intrinsics
    optics = rs.intrinsics()
    optics.width, optics.height = intrinsics.width_px, intrinsics.height_px
    optics.fx, optics.fy, optics.ppx, optics.ppy = (
        intrinsics.fx_px,
        intrinsics.fy_px,
        intrinsics.cx_px,
        intrinsics.cy_px,
    )
    optics.model, optics.coeffs = rs.distortion.none, [0.0] * 5
    stream = rs.video_stream()
    stream.type, stream.fmt, stream.index, stream.uid = rs.stream.depth, rs.format.z16, 0, uid
    stream.width, stream.height, stream.fps, stream.bpp = intrinsics.width_px, intrinsics.height_px, fps, 2
    stream.intrinsics = optics
    return stream
