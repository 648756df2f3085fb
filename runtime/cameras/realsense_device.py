"""Chooses a RealSense device and one of its streams, and sets its options: the configuration against what is available.

`rs` is the module pyrealsense2, which `realsense.py` loads.
"""

from collections.abc import Sequence
from typing import Any

from handmap.types.distortion import Distortion, Undistortion, undistortion
from handmap.types.errors import CameraLost, ConfigError
from handmap.types.intrinsics import Intrinsics


def choose_device(rs: Any, devices: Sequence[Any], serial: str | None) -> Any:
    """The device with this serial number or, without one, the only device.

    Raises CameraLost if it is missing, ConfigError if there are several and none was named.
    """
    found = {serial_of(rs, device): device for device in devices}
    if serial is None and len(found) > 1:
        raise ConfigError(
            f"camera: {len(found)} RealSense cameras are plugged in, with serials {_listed(found)}; set camera.serial to one of them"
        )
    if not found:
        wanted = "" if serial is None else f" (wanted serial {serial!r})"
        raise CameraLost(
            f"camera: the SDK finds no RealSense camera{wanted}; plug it in and check with: handmap doctor"
        )
    if serial is not None and serial not in found:
        raise CameraLost(
            f"camera: no RealSense camera has serial {serial!r}, plugged in are {_listed(found)}; plug it in or correct camera.serial"
        )
    return found[serial] if serial is not None else next(iter(found.values()))


def serial_of(rs: Any, device: Any) -> str:
    """The serial number; empty if the device reports none."""
    return _info(device, rs.camera_info.serial_number)


def describe(rs: Any, device: Any) -> str:
    """Model, serial number and firmware in one line."""
    info = rs.camera_info
    facts = [_info(device, key) for key in (info.name, info.serial_number, info.firmware_version)]
    return " ".join(fact for fact in facts if fact) or "RealSense camera"


def refuse_slow_link(rs: Any, device: Any) -> None:
    """Raises CameraLost if the camera negotiated USB 2, as with a bad cable or contact: it supports fewer modes there."""
    usb = _info(device, rs.camera_info.usb_type_descriptor)
    if usb.startswith(("1", "2")):
        raise CameraLost(
            f"camera: {describe(rs, device)!r} is connected over USB {usb}, wanted USB 3; plug it into a blue port with a USB 3 cable"
        )


def choose_profile(rs: Any, sensor: Any, wanted: tuple[int, int, int], is_playback: bool) -> Any:
    """The depth stream of the wanted width, height and rate; for a recording, whatever it holds.

    Raises ConfigError that lists what the device supports.
    """
    offered = {}
    for profile in sensor.get_stream_profiles():
        if profile.stream_type() == rs.stream.depth and profile.format() == rs.format.z16:
            video = profile.as_video_stream_profile()
            offered[video.width(), video.height(), profile.fps()] = profile
    if is_playback and len(offered) == 1:
        return next(iter(offered.values()))
    if wanted not in offered:
        modes = ", ".join(f"{width}x{height} at {fps}" for width, height, fps in sorted(offered)) or "none"
        raise ConfigError(
            f"camera: the device has no depth stream of {wanted[0]}x{wanted[1]} at {wanted[2]} frames/s, it has {modes}; "
            "set camera.width_px, height_px and fps to one of these"
        )
    return offered[wanted]


def lens_of(profile: Any) -> tuple[Intrinsics, Undistortion | None]:
    """The pinhole intrinsics of a stream, and how its images are freed of distortion; D400 and D500 give rectified ones.

    Raises ConfigError for a distortion that has no model of OpenCV's.
    """
    found = profile.as_video_stream_profile().get_intrinsics()
    intrinsics = Intrinsics(found.width, found.height, found.fx, found.fy, found.ppx, found.ppy)
    if not any(found.coeffs):
        return intrinsics, None
    try:
        return intrinsics, undistortion(intrinsics, Distortion(found.model.name, tuple(found.coeffs)))
    except ValueError as error:
        raise ConfigError(
            f"camera: its depth image is distorted ({error}); use a camera of the D400 or D500 family, which rectify theirs"
        ) from error


def unit_mm_of(rs: Any, sensor: Any) -> float:
    """Millimeters per depth step; undoes the rounding of the SDK, which gives meters as float32."""
    return round(float(sensor.get_option(rs.option.depth_units)) * 1000, 6)


def set_options(rs: Any, sensor: Any, preset: str | None, exposure_us: float | None, laser_power: float | None) -> None:
    """Sets the configured options; the preset comes first because it changes the others too.

    Raises ConfigError that lists what the device allows.
    """
    option = rs.option
    if preset is not None:
        _set(sensor, option.visual_preset, "preset", _preset(rs, sensor, preset))
    if exposure_us is not None:
        _refuse(sensor, option.exposure, "exposure_us", exposure_us)
        if sensor.supports(option.enable_auto_exposure):
            sensor.set_option(option.enable_auto_exposure, 0.0)
        sensor.set_option(option.exposure, exposure_us)
    if laser_power is not None:
        if sensor.supports(option.emitter_enabled):
            sensor.set_option(option.emitter_enabled, float(laser_power > 0))
        if laser_power > 0:
            _set(sensor, option.laser_power, "laser_power", laser_power)


def _preset(rs: Any, sensor: Any, name: str) -> float:
    """The number of a preset, by its name in the SDK, within the device's range."""
    presets = {str(key): int(value) for key, value in rs.rs400_visual_preset.__members__.items()}
    if sensor.supports(rs.option.visual_preset):
        bounds = sensor.get_option_range(rs.option.visual_preset)
        known = [key for key, value in presets.items() if bounds.min <= value <= bounds.max]
    else:
        known = []
    if name not in known:
        raise ConfigError(
            f"camera: the device has no preset {name!r}, it has {', '.join(known) or 'none'}; correct camera.preset"
        )
    return float(presets[name])


def _set(sensor: Any, option: Any, key: str, value: float) -> None:
    _refuse(sensor, option, key, value)
    sensor.set_option(option, value)


def _refuse(sensor: Any, option: Any, key: str, value: float) -> None:
    if not sensor.supports(option):
        raise ConfigError(f"camera: camera.{key} is {value:g}, but the device has no such option; leave it out")
    bounds = sensor.get_option_range(option)
    steps = (value - bounds.min) / bounds.step if bounds.step else 0.0
    if not bounds.min <= value <= bounds.max or abs(steps - round(steps)) > 1e-3:
        raise ConfigError(
            f"camera: camera.{key} is {value:g}, the device has {bounds.min:g} to {bounds.max:g} in steps of {bounds.step:g}; correct it"
        )


def _info(device: Any, key: Any) -> str:
    return str(device.get_info(key)) if device.supports(key) else ""


def _listed(found: dict[str, Any]) -> str:
    return ", ".join(repr(serial) for serial in sorted(found))
