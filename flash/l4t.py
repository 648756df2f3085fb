"""Identifies an image of NVIDIA's Jetson Linux and its JetPack, and knows the command that flashes it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handmap.system.jetpack import (
    JETPACKS,
    NO_BOARD,
    RELEASE_FILE,
    JetPack,
    find_jetpack,
    parse_version,
    read_l4t_release,
    show_version,
)
from handmap.types.errors import ConfigError

INITRD_FLASH: Final = "sudo ./tools/kernel_flash/l4t_initrd_flash.sh"
NVME: Final = "--external-device nvme0n1p1 -c tools/kernel_flash/flash_l4t_external.xml"
QSPI: Final = '-p "-c bootloader/generic/cfg/flash_t234_qspi.xml" --showlogs --network usb0'
# By L4T major version: the target of `handmap deb`, and the flash command to run in Linux_for_Tegra.
TARGETS: Final = {36: "jetpack6", 38: "jetpack7", 39: "jetpack7"}
COMMANDS: Final = {
    36: f"{INITRD_FLASH} {NVME} {QSPI} jetson-orin-nano-devkit internal",
    38: f"{INITRD_FLASH} jetson-agx-thor-devkit internal",
    39: f"{INITRD_FLASH} jetson-agx-thor-devkit internal",
}


@dataclass(frozen=True)
class Release:
    """The release of an image."""

    name: str  # as NVIDIA writes it, "36.4.7"
    jetpack: JetPack

    @property
    def target(self) -> str:
        """The `handmap deb` target for this release."""
        return TARGETS[self.jetpack.since[0]]

    @property
    def flash(self) -> str:
        """The command that flashes it, with an example board name."""
        return COMMANDS[self.jetpack.since[0]]

    @property
    def gpu_packages(self) -> tuple[str, ...]:
        """Name patterns of the CUDA and TensorRT packages that the daemon needs.

        CuPy compiles with NVRTC; TensorRT's Python module must be the system's, in whatever version it has.
        """
        cuda = self.jetpack.cuda
        return ("python3-libnvinfer", "libnvinfer[0-9]*", f"cuda-cudart-{cuda}-*", f"cuda-nvrtc-{cuda}-*")


def read_release(rootfs: Path) -> Release:
    """The image's release.

    Raises ConfigError if apply_binaries.sh has not been run, or if the release is not supported.
    """
    path = rootfs / RELEASE_FILE.relative_to("/")
    name = read_l4t_release(path)
    if name == NO_BOARD:
        raise ConfigError(
            f"flash-overlay: {str(rootfs)!r} has no {RELEASE_FILE}, so it is not a complete root file system of Jetson Linux; unpack the "
            "sample root file system there and run: sudo ./apply_binaries.sh"
        )
    version = parse_version(name)
    if not version:
        raise ConfigError(
            f"flash-overlay: {str(path)!r} begins with {name.partition(': ')[2]!r}, wanted '# R36 (release), REVISION: 4.7, ...'; "
            "unpack the root file system again and run: sudo ./apply_binaries.sh"
        )
    jetpack = find_jetpack(version)
    if jetpack is None:
        known = "; ".join(
            f"r{show_version(one.since)} and newer before r{show_version(one.before)}" for one in JETPACKS
        )
        raise ConfigError(f"flash-overlay: the image has Jetson Linux r{name}, supported are {known}; use one of these")
    return Release(name, jetpack)
