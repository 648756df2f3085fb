"""RealSense cameras on the USB bus, as listed in sysfs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .context import DoctorContext
from .machine import NotApplicable

USB: Final = Path("/sys/bus/usb/devices")
VENDOR: Final = "8086"
# Names from librealsense's d400-private.h; systemd/udev/rules.d/60-handmap.rules has the same list.
MODELS: Final = {
    "0ad3": "D415", "0b07": "D435", "0b3a": "D435i", "0b4b": "D430i", "0b5b": "D405", "0b5c": "D455", "1155": "D421", "abcd": "D457",
}  # fmt: skip
RECOVERY: Final = ("0ab3", "0adb", "0adc", "0ade", "0b55", "0add")


@dataclass(frozen=True)
class UsbCamera:
    """A camera and its sysfs folder."""

    folder: Path
    model: str
    product: str  # idProduct

    def __str__(self) -> str:
        return f"{self.model} ({VENDOR}:{self.product}) at {self.folder.name}"


def on_usb(context: DoctorContext, models: dict[str, str]) -> list[UsbCamera]:
    """The devices with these idProducts; models maps each to its name."""
    machine, found = context.machine, []
    for folder in machine.entries(USB):
        product = machine.text(folder / "idProduct")
        if product in models and machine.text(folder / "idVendor") == VENDOR:
            found.append(UsbCamera(folder, models[product], product))
    return found


def cameras_of(context: DoctorContext) -> list[UsbCamera]:
    """Cameras on the bus; raises NotApplicable if there are none, which only one check reports."""
    context.need_running()
    context.need_camera()
    found = on_usb(context, MODELS)
    if not found:
        raise NotApplicable("there is no camera on the bus")
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
