"""NVIDIA's Jetson Linux: which releases an image may have, what each brings, and how it is flashed."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handmap.errors import ConfigError

RELEASE_FILE: Final = "etc/nv_tegra_release"
INITRD_FLASH: Final = "sudo ./tools/kernel_flash/l4t_initrd_flash.sh"
NVME: Final = "--external-device nvme0n1p1 -c tools/kernel_flash/flash_l4t_external.xml"


@dataclass(frozen=True)
class Release:
    """Minor releases of one major release that are alike to us."""

    major: int
    minors: range
    jetpack: str
    target: str  # of `handmap deb`
    boards: str
    gpu_packages: tuple[str, ...]  # patterns of package names: what the daemon needs of CUDA and TensorRT
    flash: str  # run in Linux_for_Tegra


def _gpu_packages(cuda_major: int) -> tuple[str, ...]:
    """CuPy compiles with NVRTC; TensorRT's Python module must be the one of the system, whatever its version is."""
    return ("python3-libnvinfer", "libnvinfer[0-9]*", f"cuda-cudart-{cuda_major}-*", f"cuda-nvrtc-{cuda_major}-*")


_QSPI: Final = '-p "-c bootloader/generic/cfg/flash_t234_qspi.xml" --showlogs --network usb0'
# NVIDIA's release pages and the Yocto layer meta-tegra, November 2026. r36.3 and older have TensorRT 8.6.
RELEASES: Final = (
    Release(36, range(4, 6), "6.1 or 6.2", "jetpack6", "Orin", _gpu_packages(12),
            f"{INITRD_FLASH} {NVME} {_QSPI} jetson-orin-nano-devkit internal"),
    Release(38, range(2, 5), "7.0 or 7.1", "jetpack7", "Thor", _gpu_packages(13),
            f"{INITRD_FLASH} jetson-agx-thor-devkit internal"),
    Release(39, range(2, 3), "7.2", "jetpack7", "Orin and Thor", _gpu_packages(13),
            f"{INITRD_FLASH} jetson-agx-thor-devkit internal"),
)  # fmt: skip


def read_release(rootfs: Path) -> tuple[str, Release]:
    """The image's release in NVIDIA's words, "36.4.7", and what is known of it.

    Raises ConfigError where apply_binaries.sh has not been run, or the release is none that we support.
    """
    path = rootfs / RELEASE_FILE
    if not path.is_file():
        raise ConfigError(
            f"flash-overlay: {str(rootfs)!r} has no {RELEASE_FILE}, so it is no finished root file system of Jetson Linux; unpack the "
            "sample root file system there and run: sudo ./apply_binaries.sh"
        )
    text = path.read_text(errors="replace")
    found = re.search(r"R(\d+) \(release\), REVISION: (\d+)([\d.]*)", text)
    known = "; ".join(f"r{one.major}.{one.minors[0]} to r{one.major}.{one.minors[-1]}" for one in RELEASES)
    if found is None:
        raise ConfigError(
            f"flash-overlay: {str(path)!r} begins with {text[:60]!r}, wanted '# R36 (release), REVISION: 4.7, ...'; "
            "unpack the root file system anew and run: sudo ./apply_binaries.sh"
        )
    name = f"{found[1]}.{found[2]}{found[3]}"
    for release in RELEASES:
        if release.major == int(found[1]) and int(found[2]) in release.minors:
            return name, release
    raise ConfigError(f"flash-overlay: the image has Jetson Linux r{name}, supported are {known}; take one of these")
