"""Checks of the RealSense SDK: whether it loads, which cameras it finds, and whether their firmware suits it."""

from typing import Final

from handmap.files.reading import decode_json

from .context import Check, DoctorContext, Finding, failed, ok, warning
from .machine import NotApplicable


def seen_by_sdk(context: DoctorContext) -> list[dict[str, str]] | str:
    """The cameras that `runtime.doctor.sdk` reports, or why it reports nothing."""
    answer = context.sdk_answer
    try:
        cameras = decode_json(answer.out, list[dict[str, str]])
    except ValueError:
        return answer.err.splitlines()[-1] if answer.err else f"the SDK process exited with code {answer.code}"
    return cameras


def check_sdk(context: DoctorContext) -> Finding:
    """Whether the daemon's Python can load the RealSense SDK, and the SDK sees the configured camera."""
    context.need_running()
    serial = context.need_camera().serial
    cameras = seen_by_sdk(context)
    if isinstance(cameras, str):
        return failed(cameras, f"sudo apt install libusb-1.0-0 libudev1 && {context.install_python('pyrealsense2')}")
    names = ", ".join(camera["name"] for camera in cameras) or "no camera"
    if serial is not None and serial not in [camera["serial_number"] for camera in cameras]:
        return failed(
            f"the SDK sees {names}, wanted serial {serial!r}", f"rs-enumerate-devices -s && {context.edit_config()}"
        )
    return ok(f"the SDK loads and sees {names}")


def check_firmware(context: DoctorContext) -> Finding:
    """Whether every camera has the firmware version that the SDK recommends."""
    context.need_running()
    context.need_camera()
    cameras = seen_by_sdk(context)
    if isinstance(cameras, str) or not cameras:
        raise NotApplicable("the SDK sees no camera")
    for camera in cameras:
        has, wants = camera["firmware_version"], camera["recommended_firmware_version"]
        if _numbers(has) < _numbers(wants):
            image = f"Signed_Image_UVC_{wants.replace('.', '_')}.bin"
            return warning(
                f"{camera['name']} has firmware {has}, the SDK recommends {wants}",
                f"rs-fw-update -s {camera['serial_number']} -f {image}  # from RealSense's firmware page",
            )
    return ok(", ".join(camera["firmware_version"] for camera in cameras))


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdigit()]


CHECKS: Final = (
    Check("camera.sdk", "the SDK sees it", check_sdk),
    Check("camera.firmware", "its firmware suits the SDK", check_firmware),
)
