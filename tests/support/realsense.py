"""The RealSense SDK without a camera: its software device, and recordings that the SDK itself writes."""

import ctypes
import importlib
import time
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from handmap.values import DepthFrame


def sdk() -> ModuleType:
    """The module pyrealsense2, or a skipped test. Where the system has no libusb, that of the package libusb-package serves."""
    try:
        ctypes.CDLL("libusb-1.0.so.0", ctypes.RTLD_GLOBAL)
    except OSError:
        package = pytest.importorskip("libusb_package", reason="neither libusb-1.0 nor libusb-package is installed")
        ctypes.CDLL(str(package.get_library_path()), ctypes.RTLD_GLOBAL)
    module: ModuleType = pytest.importorskip("pyrealsense2", reason="pyrealsense2 is not installed")
    return module


def write_sdk_recording(path: Path, frames: Iterable[DepthFrame]) -> Path:
    """A .db3 file with the frames, recorded by the SDK from a software device."""
    rs = sdk()
    stream: list[DepthFrame] = list(frames)
    lens, unit_mm = stream[0].intrinsics, stream[0].depth_unit_mm
    device = rs.software_device()
    source = device.add_sensor("Depth")
    profile = source.add_video_stream(_video_stream(rs, stream[0]))
    source.add_read_only_option(rs.option.depth_units, unit_mm / 1000)
    recorder = rs.recorder(str(path), device)
    (sensor,) = recorder.query_sensors()
    taken = rs.frame_queue(len(stream))
    sensor.open(sensor.get_stream_profiles()[0])
    sensor.start(taken)
    for frame in stream:
        shown = rs.software_video_frame()
        shown.pixels = np.ascontiguousarray(frame.depth)
        shown.stride, shown.bpp, shown.depth_units = lens.width_px * 2, 2, unit_mm / 1000
        shown.timestamp, shown.domain = frame.capture_ns / 1e6, rs.timestamp_domain.hardware_clock
        shown.frame_number, shown.profile = frame.frame_number + 1, profile.as_video_stream_profile()
        source.on_video_frame(shown)
        taken.wait_for_frame()  # the recorder drops what comes faster than it writes
        time.sleep(0.002)
    sensor.stop()
    sensor.close()
    del sensor, recorder  # the file is finished by the recorder's destructor
    importlib.import_module("gc").collect()
    return path


def _video_stream(rs: ModuleType, frame: DepthFrame) -> object:
    lens = frame.intrinsics
    optics = rs.intrinsics()
    optics.width, optics.height = lens.width_px, lens.height_px
    optics.fx, optics.fy, optics.ppx, optics.ppy = lens.fx_px, lens.fy_px, lens.cx_px, lens.cy_px
    optics.model, optics.coeffs = rs.distortion.none, [0.0] * 5
    stream = rs.video_stream()
    stream.type, stream.fmt, stream.index, stream.uid = rs.stream.depth, rs.format.z16, 0, 0
    stream.width, stream.height, stream.fps, stream.bpp = lens.width_px, lens.height_px, 30, 2
    stream.intrinsics = optics
    return stream
