"""Queries the CUDA driver about this machine's GPU through ctypes: no CUDA library has to be installed.

No context is created, so this costs nothing on the device. TensorRT itself crashes without a driver: query here first.
"""

import ctypes
from dataclasses import dataclass
from typing import Final

from handmap.types.errors import DependencyError

LIBRARY: Final = "libcuda.so.1"
# From CUdevice_attribute in cuda.h.
_SM_COUNT: Final = 16
_CAPABILITY_MAJOR: Final = 75
_CAPABILITY_MINOR: Final = 76
_NAME_BYTES: Final = 256


@dataclass(frozen=True)
class DeviceFacts:
    """A GPU as described by the driver; what a TensorRT engine is tied to."""

    name: str
    sm_count: int
    compute_capability: tuple[int, int]


def read_device_facts(device: int = 0, library: str = LIBRARY) -> DeviceFacts:
    """The facts of the GPU with this index, from 0.

    Raises DependencyError, with the reason, if there is no driver or no such device.
    """
    try:
        driver = ctypes.CDLL(library)
    except OSError as error:
        raise DependencyError(
            f"GPU: the CUDA driver cannot be loaded ({error}); install NVIDIA's driver, on a Jetson: run on the board itself, "
            "not in a container without --runtime nvidia"
        ) from error
    handle = ctypes.c_int()
    _call(driver, "cuInit", 0)
    _call(driver, "cuDeviceGet", ctypes.byref(handle), device)
    name = ctypes.create_string_buffer(_NAME_BYTES)
    _call(driver, "cuDeviceGetName", name, _NAME_BYTES, handle)
    sm_count, major, minor = (
        _attribute(driver, which, handle) for which in (_SM_COUNT, _CAPABILITY_MAJOR, _CAPABILITY_MINOR)
    )
    return DeviceFacts(name.value.decode(errors="replace"), sm_count, (major, minor))


def _attribute(driver: ctypes.CDLL, which: int, handle: ctypes.c_int) -> int:
    value = ctypes.c_int()
    _call(driver, "cuDeviceGetAttribute", ctypes.byref(value), which, handle)
    return value.value


def _call(driver: ctypes.CDLL, name: str, *arguments: object) -> None:
    """Calls a function of the driver.

    Raises DependencyError with the driver's own message for what it returned.
    """
    try:
        code = getattr(driver, name)(*arguments)
    except AttributeError as error:
        raise DependencyError(
            f"GPU: the library {driver._name!r} is not a CUDA driver, it has no {name}; reinstall NVIDIA's driver"
        ) from error
    if code != 0:
        raise DependencyError(
            f"GPU: the CUDA driver's {name} returned {code} ({_words(driver, code)}), wanted 0; "
            "check the device with: nvidia-smi"
        )


def _words(driver: ctypes.CDLL, code: int) -> str:
    text = ctypes.c_char_p()
    try:
        found = driver.cuGetErrorString(code, ctypes.byref(text))
    except AttributeError:
        return "no description"
    return text.value.decode(errors="replace") if found == 0 and text.value else "no description"
