"""The file layout of the package: the only table of it, and the code that copies the files."""

import gzip
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handmap.system.version import WRITTEN
from handmap.types.errors import ConfigError, DependencyError

from .targets import BoardTarget

PACKAGE: Final = "handmap"
DATA: Final = Path(__file__).resolve().parent / "data"
PREFIX: Final = "usr/lib/handmap"
SHARE: Final = "usr/share/handmap"
WHEELS: Final = f"{SHARE}/wheels"
CONFIG: Final = "etc/handmap/config.yaml"
DOC: Final = f"usr/share/doc/{PACKAGE}"
COMMAND: Final = "usr/bin/handmap"
UNIT: Final = "handmap.service"
TARGET: Final = "handmap.target"  # its symlink makes the boot start the unit
# Whole folders of the checkout and their places in the package.
FOLDERS: Final = {
    "systemd/system": "usr/lib/systemd/system",
    "systemd/system-preset": "usr/lib/systemd/system-preset",
    "systemd/journald@handmap.conf.d": "usr/lib/systemd/journald@handmap.conf.d",
    "systemd/sysusers.d": "usr/lib/sysusers.d",
    "systemd/tmpfiles.d": "usr/lib/tmpfiles.d",
    "systemd/udev/rules.d": "usr/lib/udev/rules.d",
    "systemd/drop-ins": f"{SHARE}/drop-ins",
    "models/handmap-hand21": f"{SHARE}/models/handmap-hand21",
    "models/demo_recording": f"{SHARE}/models/demo_recording",
    "docs": DOC,
    "configs/monitoring": f"{SHARE}/monitoring",
}
LEFT_OUT: Final = ("docs/measured", "docs/guidance_maps.png")
WHEEL_SOURCES: Final = ("handmap", "training", "export", "calibration", "runtime", "clients", "flash")
WHEEL_FILES: Final = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in")


@dataclass(frozen=True)
class Stamp:
    """Metadata of a package; a rebuild of the same commit gets the same."""

    version: str  # Debian's: 0.2.0-1.jetpack6
    source_version: str  # the project's own: 0.2.0
    maintainer: str  # name and address
    epoch_s: int  # the timestamp of every file


def fill(root: Path, checkout: Path, target: BoardTarget, wheels: list[Path], stamp: Stamp) -> None:
    """Lays out in `root` everything that the package installs, with its final file modes.

    Raises ConfigError if the checkout lacks a folder, DependencyError if the project's wheel cannot be built.
    """
    for source, place in FOLDERS.items():
        _copy_folder(checkout, source, root / place)
    for wheel in wheels:
        _copy(wheel, root / WHEELS / wheel.name)
    build_wheel(checkout, root / WHEELS, stamp)
    _copy(DATA / "unpack_wheels.py", root / PREFIX / "unpack_wheels.py")
    _copy(DATA / target.config, root / CONFIG)
    _copy(DATA / "copyright", root / DOC / "copyright")
    (root / COMMAND).parent.mkdir(parents=True)
    (root / COMMAND).symlink_to(f"../lib/{PACKAGE}/venv/bin/handmap")


def checkout_version(checkout: Path) -> str:
    """The version of a checkout, as its own code makes it of its base number and commit.

    Raises ConfigError if this is not a checkout.
    """
    code = checkout / "handmap/system/version.py"
    if not code.is_file():
        raise ConfigError(f"deb: {str(checkout)!r} is not a git checkout of this project; name one with --checkout")
    return str(runpy.run_path(str(code))["version_of"](checkout))


def write_gzip(path: Path, text: str) -> None:
    """Gzipped text without the timestamp and name that gzip adds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def tracked(checkout: Path, folder: str) -> list[str]:
    """Sorted names of the project's files in a folder, without those that git ignores.

    Raises ConfigError if this is not a checkout.
    """
    done = ask_git(checkout, "ls-files", "-zco", "--exclude-standard", "--deduplicate", "--", folder)
    if done.returncode != 0:
        raise ConfigError(
            f"deb: {str(checkout)!r} is not a git checkout of this project ({complaint(done)}); name one with --checkout"
        )
    names = sorted(name for name in done.stdout.split("\0") if (checkout / name).is_file())
    return [name for name in names if not name.startswith(LEFT_OUT)]


def ask_git(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The output of a git command in a checkout.

    Raises DependencyError if git is not installed.
    """
    try:
        return subprocess.run(
            ["git", "-C", str(checkout), *words], capture_output=True, text=True, errors="surrogateescape", check=False
        )
    except FileNotFoundError as error:
        raise DependencyError(
            "deb: git is needed to list the project's files, but this machine has none; install it"
        ) from error


def complaint(done: subprocess.CompletedProcess[str]) -> str:
    """A program's stderr in one line."""
    return " ".join(done.stderr.split()) or "it printed no error"


def copy_sources(checkout: Path, out: Path, parts: tuple[str, ...], stamp: Stamp) -> None:
    """Copies files and folders of the checkout, "" for all, with their version beside them: a copy has no git to ask."""
    for part in parts:
        for file in tracked(checkout, part or "."):
            _copy(checkout / file, out / file)
    (out / WRITTEN).parent.mkdir(parents=True, exist_ok=True)
    (out / WRITTEN).write_text(f"{stamp.source_version}\n")
    (out / WRITTEN).chmod(0o644)


def _copy_folder(checkout: Path, source: str, place: Path) -> None:
    names = tracked(checkout, source)
    if not names:
        raise ConfigError(f"deb: the checkout {str(checkout)!r} has no files in {source}/; use a complete checkout")
    for name in names:
        _copy(checkout / name, place / Path(name).relative_to(source))


def _copy(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place)
    place.chmod(0o644)


def build_wheel(checkout: Path, out: Path, stamp: Stamp) -> None:
    """The project's own wheel, built from a copy because setuptools leaves files in the source folder."""
    with tempfile.TemporaryDirectory(prefix="handmap-wheel-") as name:
        source, made = Path(name) / "source", Path(name) / "made"
        copy_sources(checkout, source, (*WHEEL_SOURCES, *WHEEL_FILES), stamp)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        done = subprocess.run(
            [*command, "--disable-pip-version-check", "--wheel-dir", str(made), str(source)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"SOURCE_DATE_EPOCH": str(stamp.epoch_s)},
            umask=0o022,  # a wheel records the modes of its files
        )
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise DependencyError(
                f"deb: building the project's wheel with {sys.prefix!r} failed: {said}; install pip and setuptools 77 or newer there"
            )
        for wheel in made.iterdir():
            _copy(wheel, out / wheel.name)
