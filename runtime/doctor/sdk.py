"""Prints what the RealSense SDK knows about the plugged-in cameras; a separate program, so that an SDK crash spares the doctor."""

import json
import sys
from typing import Any, Final

from handmap.types.errors import HandmapError

from ..cameras.realsense import load_sdk
from ..cameras.realsense_device import describe

KEYS: Final = ("serial_number", "firmware_version", "recommended_firmware_version")


def camera_facts(rs: Any, device: Any) -> dict[str, str]:
    """The name and the KEYS of a device of the SDK `rs`; empty where it reports none."""
    infos = {key: getattr(rs.camera_info, key) for key in KEYS}
    facts = {key: str(device.get_info(info)) if device.supports(info) else "" for key, info in infos.items()}
    return {"name": describe(rs, device), **facts}


def list_cameras() -> list[dict[str, str]]:
    """The facts of every plugged-in camera.

    Raises DependencyError if the SDK is not installed.
    """
    rs = load_sdk()
    return [camera_facts(rs, device) for device in rs.context().query_devices()]


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps(list_cameras()))
    except HandmapError as error:
        sys.exit(str(error))
