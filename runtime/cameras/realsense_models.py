"""Which devices are RealSense cameras: the SDK's list of models by USB id, and those that a board has on a GMSL link.

From librealsense 2.59: src/ds/d400/d400-private.h, src/ds/d500/d500-private.h and config/99-realsense-libusb.rules. Only devices
that deliver depth. systemd/udev/rules.d/60-handmap.rules has the same ids.
"""

from pathlib import Path
from typing import Final

INTEL: Final = "8086"  # shared with all of Intel's other devices
REALSENSE: Final = "38e5"  # cameras only, with the product ids of before or new ones
# Names by idProduct.
MODELS: Final = {
    "0ad1": "D400", "0ad2": "D410", "0ad3": "D415", "0ad4": "D430", "0ad5": "D430 with tracking", "0ad6": "D400 over USB 2",
    "0af6": "D420", "0afe": "D420 with tracking", "0aff": "D410 with tracking", "0b00": "D400 with tracking",
    "0b01": "D430 with tracking and color", "0b03": "D460", "0b07": "D435", "0b0c": "DS5U", "0b3a": "D435i", "0b49": "F416",
    "0b4b": "D430i", "0b52": "F416 with color", "0b56": "D555", "0b5b": "D405", "0b5c": "D455", "0b6a": "D585", "0b6b": "D585S",
    "1155": "D421", "1156": "D436", "abcc": "D401", "abcd": "D457", "abce": "D430", "abcf": "D415",
}  # fmt: skip
MODELS_OF_REALSENSE: Final = {
    "0c01": "D535", "0c02": "D535", "0c03": "D535F", "0c04": "D585", "0c05": "D585", "0c06": "D585F", "0c07": "D585", "0c08": "D585",
}  # fmt: skip
# Without firmware, or waiting for one: they deliver no frames.
RECOVERY: Final = {
    INTEL: ("0ab3", "0adb", "0adc", "0add", "0ade", "0b55"),
    REALSENSE: ("0cfd", "0cfe"),
}
# RealSense's driver for D457, D430, D415 and D401 on a GMSL link: its name on the I2C bus, and part of the names of its video nodes.
GMSL_DRIVER: Final = Path("/sys/bus/i2c/drivers/d4xx")
GMSL_NODE: Final = "DS5 mux"


def model_of(vendor: str | None, product: str | None) -> str | None:
    """The model with these USB ids; None if they are not those of a camera that delivers depth."""
    if product is None or product in RECOVERY.get(vendor or "", ()):
        return None
    if vendor == REALSENSE:
        return (MODELS | MODELS_OF_REALSENSE).get(product, "RealSense camera")
    return MODELS.get(product) if vendor == INTEL else None


def is_recovering(vendor: str | None, product: str | None) -> bool:
    """Whether these USB ids are those of a camera in recovery mode."""
    return product in RECOVERY.get(vendor or "", ())
