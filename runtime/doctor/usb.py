"""RealSense cameras of the machine as sysfs lists them: on the USB bus, and on GMSL links."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..cameras.realsense_models import GMSL_DRIVER, GMSL_NODE, is_recovering, model_of
from .context import DoctorContext
from .machine import NotApplicable

USB: Final = Path("/sys/bus/usb/devices")
VIDEO: Final = Path("/sys/class/video4linux")


@dataclass(frozen=True)
class UsbCamera:
    """A camera and its sysfs folder."""

    folder: Path
    model: str
    ids: str  # idVendor:idProduct

    def __str__(self) -> str:
        return f"{self.model} ({self.ids}) at {self.folder.name}"


def on_usb(context: DoctorContext) -> list[UsbCamera]:
    """The cameras on the bus that deliver frames."""
    found = ((folder, vendor, product, model_of(vendor, product)) for folder, vendor, product in _devices(context))
    return [UsbCamera(folder, model, f"{vendor}:{product}") for folder, vendor, product, model in found if model]


def in_recovery(context: DoctorContext) -> list[UsbCamera]:
    """The cameras on the bus that deliver no frames until their firmware is written."""
    return [
        UsbCamera(folder, "camera in recovery mode", f"{vendor}:{product}")
        for folder, vendor, product in _devices(context)
        if is_recovering(vendor, product)
    ]


def on_gmsl(context: DoctorContext) -> list[str]:
    """The I2C addresses of cameras on GMSL links, such as 9-001a."""
    return [device.name for device in context.machine.entries(GMSL_DRIVER, "[0-9]*-*")]


def gmsl_nodes(context: DoctorContext) -> list[Path]:
    """The video nodes of cameras on GMSL links."""
    machine = context.machine
    folders = machine.entries(VIDEO, "video*")
    return [Path("/dev") / folder.name for folder in folders if GMSL_NODE in (machine.text(folder / "name") or "")]


def cameras_of(context: DoctorContext) -> list[UsbCamera]:
    """Cameras on the bus; raises NotApplicable if there are none, which only one check reports."""
    context.need_running()
    context.need_camera()
    found = on_usb(context)
    if not found:
        raise NotApplicable("there is no camera on the USB bus")
    return found


def interfaces_of(context: DoctorContext, camera: UsbCamera) -> list[Path]:
    """The folders of a camera's USB interfaces."""
    return context.machine.entries(USB, f"{camera.folder.name}:*")


def number(context: DoctorContext, file: Path) -> float:
    """The number in a file; 0 if there is none."""
    try:
        return float(context.machine.text(file) or 0)
    except ValueError:
        return 0.0


def _devices(context: DoctorContext) -> list[tuple[Path, str | None, str | None]]:
    """The folder, idVendor and idProduct of everything on the bus."""
    machine = context.machine
    return [
        (folder, machine.text(folder / "idVendor"), machine.text(folder / "idProduct"))
        for folder in machine.entries(USB)
    ]
