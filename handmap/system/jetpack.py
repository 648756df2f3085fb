"""The Jetson release of this machine or an image, and what each supported release includes."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

Version: TypeAlias = tuple[int, ...]

RELEASE_FILE: Final = Path("/etc/nv_tegra_release")
NO_BOARD: Final = "none"
# First line: "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: ..."
_RELEASE: Final = re.compile(r"R(?P<major>\d+)\s*\(release\),\s*REVISION:\s*(?P<minor>\d+(?:\.\d+)*)")
_MAX_CHARACTERS: Final = 80


@dataclass(frozen=True)
class JetPack:
    """One JetPack release: L4T range, boards, TensorRT and CUDA versions."""

    name: str
    since: Version  # L4T
    before: Version  # the first L4T beyond it
    boards: tuple[str, ...]
    tensorrt: tuple[Version, ...]
    cuda: int


# NVIDIA's release pages and the recipes of meta-tegra, November 2026. r36.3 and older have TensorRT 8.6.
JETPACKS: Final = (
    JetPack("6.1 or 6.2", (36, 4), (36, 6), ("Orin",), ((10, 3),), 12),
    JetPack("7.0 or 7.1", (38, 2), (38, 5), ("Thor",), ((10, 13),), 13),
    JetPack("7.2 or 7.2.1", (39, 2), (39, 2, 2), ("Orin", "Thor"), ((10, 16),), 13),
    JetPack("7.2.2 or newer", (39, 2, 2), (39, 3), ("Orin", "Thor"), ((10, 16), (11, 4)), 13),
)


def read_l4t_release(path: Path = RELEASE_FILE) -> str:
    """The L4T release such as `36.4.3`, or `none` on a machine that is not a Jetson.

    For an unknown file format it contains the first line, so that two releases still differ.
    """
    try:
        first = path.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    except OSError:
        return NO_BOARD
    found = _RELEASE.search(first)
    return f"{found['major']}.{found['minor']}" if found else f"unknown: {first.strip()[:_MAX_CHARACTERS]}"


def find_jetpack(version: Version) -> JetPack | None:
    """The JetPack of an L4T version; None if it is not supported."""
    return next((known for known in JETPACKS if known.since <= version < known.before), None)


def parse_version(text: str) -> Version:
    """The leading numbers of a version: 10.3.0.30-1+cuda12.5 gives 10.3.0.30; empty if there are none."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def show_version(version: Version) -> str:
    """The version as text, up to the third number."""
    return ".".join(str(part) for part in version[:3])
