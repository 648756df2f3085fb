"""What must hold before an image is touched; changes nothing."""

import fnmatch
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from handmap.config import read_config
from handmap.engines import EngineConfig
from handmap.errors import ConfigError

from .contents import PACKAGE
from .l4t import Release, read_release
from .packages import DebFile, image_architecture, installed_packages, read_deb, unmet, with_files

SPARE_BYTES: Final = 64 << 20
BINFMT: Final = Path("/proc/sys/fs/binfmt_misc")
QEMU: Final = {"arm64": "qemu-aarch64", "amd64": "qemu-x86_64"}
MACHINES: Final = {"aarch64": "arm64", "x86_64": "amd64"}


class ImageConfig(msgspec.Struct, frozen=True):
    """The keys of the daemon's configuration that decide what an image must hold; the image's own daemon checks the others."""

    engine: EngineConfig = EngineConfig()

    @property
    def needs_gpu(self) -> bool:
        """Whether the daemon cannot do without TensorRT."""
        return self.engine.backend == "tensorrt" and self.engine.fallback is None


@dataclass(frozen=True)
class Request:
    """What shall be put where."""

    tree: Path  # Linux_for_Tegra
    deb: Path
    config: Path
    extra_debs: Path | None = None  # folder of packages that the user fetched

    @property
    def rootfs(self) -> Path:
        """The image's root file system; NVIDIA's tools find it there too."""
        return self.tree / "rootfs"


@dataclass(frozen=True)
class Plan:
    """What was found: the release, the packages to install, ours last."""

    release_name: str
    release: Release
    debs: tuple[DebFile, ...]
    there: dict[str, str]


def examine(request: Request) -> Plan:
    """Checks everything that can be without touching the image.

    Raises ConfigError with all that is wrong in one sentence.
    """
    rootfs = request.rootfs
    name, release = read_release(rootfs)
    config = read_config(request.config, ImageConfig)
    there = installed_packages(rootfs)
    ours = read_deb(request.deb)
    if ours.name != PACKAGE:
        raise ConfigError(
            f"flash-overlay: {str(request.deb)!r} is the package {ours.name!r}, wanted {PACKAGE!r}; name ours by --deb"
        )
    debs = (*_extra(request.extra_debs), ours)
    problems = [
        *_foreign(debs, image_architecture(rootfs)),
        *_unmet(debs, there, release),
        *(_missing_gpu(release, with_files(there, list(debs))) if config.needs_gpu else ()),
        *_room(rootfs, debs, there),
        *_mounts(rootfs),
    ]
    if problems:
        raise ConfigError(
            f"flash-overlay: the image {str(rootfs)!r} (r{name}) cannot take the package: {'; '.join(problems)}"
        )
    return Plan(name, release, debs, there)


def _extra(folder: Path | None) -> list[DebFile]:
    if folder is None:
        return []
    debs = [read_deb(path) for path in sorted(folder.glob("*.deb"))]
    if not debs:
        raise ConfigError(
            f"flash-overlay: {str(folder)!r} holds no .deb; put the packages there, or leave --extra-debs out"
        )
    return debs


def _foreign(debs: tuple[DebFile, ...], architecture: str) -> list[str]:
    wrong = [deb.path.name for deb in debs if deb.architecture not in (architecture, "all")]
    problems = [f"it is {architecture}, and {', '.join(wrong)} is for another architecture"] if wrong else []
    here = MACHINES.get(platform.machine(), platform.machine())
    if architecture != here and not _runs_foreign(architecture):
        problems.append(
            f"programs of {architecture} cannot run on this machine, register them with: apt install qemu-user-static && "
            "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && /usr/lib/systemd/systemd-binfmt"
        )
    return problems


def _runs_foreign(architecture: str) -> bool:
    """Whether the kernel has an interpreter that it holds open itself (flag F), so that the image need not contain it."""
    entry = BINFMT / QEMU.get(architecture, "none")
    lines = entry.read_text().splitlines() if entry.is_file() else []
    return "enabled" in lines and any(line.startswith("flags:") and "F" in line for line in lines)


def _unmet(debs: tuple[DebFile, ...], there: dict[str, str], release: Release) -> list[str]:
    after = with_files(there, list(debs))
    missing = [text for deb in debs for text in unmet(deb, after)]
    if not missing:
        return []
    return [
        *missing,
        f"put what is missing into --extra-debs, or take the package of: handmap deb --target {release.target}",
    ]


def _missing_gpu(release: Release, after: dict[str, str]) -> list[str]:
    missing = [pattern for pattern in release.gpu_packages if not fnmatch.filter(after, pattern)]
    if not missing:
        return []
    return [
        f"the configuration runs on TensorRT alone and the image has no {', '.join(missing)}; put these of JetPack {release.jetpack} "
        "into --extra-debs, or set engine.fallback: onnx"
    ]


def _room(rootfs: Path, debs: tuple[DebFile, ...], there: dict[str, str]) -> list[str]:
    new = [deb for deb in debs if there.get(deb.name) != deb.version]
    wanted = sum(deb.installed_bytes for deb in new) + SPARE_BYTES
    free = shutil.disk_usage(rootfs).free
    return [f"{free >> 20} MB are free there, {wanted >> 20} MB are wanted"] if free < wanted else []


def _mounts(rootfs: Path) -> list[str]:
    """Mount points in the image: what lies under them would be written to, or be flashed."""
    top = os.path.realpath(rootfs)
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = [point for point in points if point.startswith(top + "/")]
    return [f"{', '.join(inside)} is mounted in it, unmount that first"] if inside else []
