"""Checks everything that must be true before an image is changed; changes nothing itself."""

import fnmatch
import os
import platform
import re
import shlex
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from handmap.engines.factory import EngineConfig
from handmap.system.config import read_config
from handmap.system.drop_ins import find_drop_ins
from handmap.types.errors import ConfigError

from .chroot import refuse_links_out
from .contents import PACKAGE
from .l4t import Release, read_release
from .packages import DebFile, image_architecture, installed_packages, read_deb, unmet, with_files

SPARE_BYTES: Final = 64 << 20
BINFMT: Final = Path("/proc/sys/fs/binfmt_misc")
MOUNTS: Final = Path("/proc/self/mountinfo")
QEMU: Final = {"arm64": "qemu-aarch64", "amd64": "qemu-x86_64"}
MACHINES: Final = {"aarch64": "arm64", "x86_64": "amd64"}


class ImageConfig(msgspec.Struct, frozen=True):
    """The keys of the daemon's configuration that determine what an image needs; the image's own daemon checks the rest."""

    engine: EngineConfig = EngineConfig()

    @property
    def needs_gpu(self) -> bool:
        """Whether the daemon cannot run without TensorRT."""
        return self.engine.backend == "tensorrt" and self.engine.fallback is None


@dataclass(frozen=True)
class OverlayRequest:
    """What to install, and where."""

    tree: Path  # Linux_for_Tegra
    deb: Path
    config: Path
    extra_debs: Path | None = None  # folder of packages that the user downloaded

    @property
    def rootfs(self) -> Path:
        """The image's root file system, in the place that NVIDIA's tools use."""
        return self.tree / "rootfs"


@dataclass(frozen=True)
class OverlayPlan:
    """The release that was found, and the packages to install, with ours last."""

    release: Release
    debs: tuple[DebFile, ...]
    there: dict[str, str]


def plan_overlay(request: OverlayRequest) -> OverlayPlan:
    """Checks everything that can be checked without changing the image.

    Raises ConfigError that lists all problems in one sentence.
    """
    rootfs = request.rootfs
    refuse_links_out(rootfs)
    release = read_release(rootfs)
    config = read_config(request.config, ImageConfig)
    _refuse_drop_ins(request.config)
    there = installed_packages(rootfs)
    ours = read_deb(request.deb)
    if ours.name != PACKAGE:
        raise ConfigError(
            f"flash-overlay: {str(request.deb)!r} is the package {ours.name!r}, wanted {PACKAGE!r}; give it with --deb"
        )
    debs = (*_extra(request.extra_debs), ours)
    problems = [
        *_twice(debs),
        *_foreign(debs, image_architecture(rootfs)),
        *_unmet(debs, there, release),
        *(_missing_gpu(release, with_files(there, list(debs))) if config.needs_gpu else ()),
        *_room(rootfs, debs, there),
        *_mounts(rootfs),
    ]
    if problems:
        raise ConfigError(
            f"flash-overlay: the package cannot be installed in the image {str(rootfs)!r} (r{release.name}): {'; '.join(problems)}"
        )
    return OverlayPlan(release, debs, there)


def _refuse_drop_ins(config: Path) -> None:
    found = find_drop_ins(config)[0]
    if found:
        raise ConfigError(
            f"flash-overlay: {str(config)!r} has drop-ins, such as {str(found[0])!r}, and only one file is put into the image; join them "
            f"with: handmap config show --config {shlex.quote(str(config))}"
        )


def _extra(folder: Path | None) -> list[DebFile]:
    if folder is None:
        return []
    debs = [read_deb(path) for path in sorted(folder.glob("*.deb"))]
    if not debs:
        raise ConfigError(
            f"flash-overlay: {str(folder)!r} contains no .deb; put the packages there, or leave out --extra-debs"
        )
    return debs


def _twice(debs: tuple[DebFile, ...]) -> list[str]:
    found = Counter(deb.name for deb in debs)
    names = {name: [deb.path.name for deb in debs if deb.name == name] for name, count in found.items() if count > 1}
    return [f"the package {name} is in both {' and '.join(files)}, keep one" for name, files in names.items()]


def _foreign(debs: tuple[DebFile, ...], architecture: str) -> list[str]:
    wrong = [deb.path.name for deb in debs if deb.architecture not in (architecture, "all")]
    problems = [f"it is {architecture}, and {', '.join(wrong)} is for another architecture"] if wrong else []
    here = MACHINES.get(platform.machine(), platform.machine())
    if architecture != here and not _runs_foreign(architecture):
        problems.append(
            f"this machine cannot run {architecture} programs, enable them with: apt install qemu-user-static && "
            "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc && /usr/lib/systemd/systemd-binfmt"
        )
    return problems


def _runs_foreign(architecture: str) -> bool:
    """Whether the kernel keeps an interpreter open itself (flag F), so that the image does not have to contain it."""
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
        f"put the missing packages into --extra-debs, or use the package of: handmap deb --target {release.target}",
    ]


def _missing_gpu(release: Release, after: dict[str, str]) -> list[str]:
    missing = [pattern for pattern in release.gpu_packages if not fnmatch.filter(after, pattern)]
    if not missing:
        return []
    return [
        f"the configuration requires TensorRT and the image has no {', '.join(missing)}; put these packages of JetPack "
        f"{release.jetpack.name} into --extra-debs, or set engine.fallback: onnx"
    ]


def _room(rootfs: Path, debs: tuple[DebFile, ...], there: dict[str, str]) -> list[str]:
    new = [deb for deb in debs if there.get(deb.name) != deb.version]
    wanted = sum(deb.installed_bytes for deb in new) + SPARE_BYTES
    free = shutil.disk_usage(rootfs).free
    return [f"it needs {wanted >> 20} MB of disk space, found {free >> 20} MB free"] if free < wanted else []


def _mounts(rootfs: Path) -> list[str]:
    """Mount points in the image: files below them would be written to, or be flashed."""
    top = os.path.realpath(rootfs)
    # The kernel writes spaces and other special characters of a path in octal.
    words = [line.split()[4] for line in MOUNTS.read_bytes().splitlines()]
    points = [os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), word)) for word in words]
    inside = [point for point in points if point.startswith(top + "/")]
    return [f"{', '.join(inside)} is mounted in it, unmount that first"] if inside else []
