"""Builds a .deb from a checkout: reproducible from the commit, and written atomically."""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from handmap.files.atomic import write_file
from handmap.system.version import debian_version
from handmap.types.errors import ConfigError, DependencyError

from .contents import PACKAGE, Stamp, ask_git, checkout_version, complaint, fill
from .control import write_control
from .targets import BoardTarget
from .wheels import fetch_wheels, read_lock, sha256_of

MAINTAINER = "HandMap Edge maintainers <maintainers@handmap-edge.invalid>"


@dataclass(frozen=True)
class BuiltDeb:
    """A package that has been written."""

    path: Path
    version: str
    bytes: int
    sha256: str
    wheels: int


def build_deb(target: BoardTarget, checkout: Path, out: Path, cache: Path, revision: int = 1) -> BuiltDeb:
    """Writes handmap_VERSION_ARCHITECTURE.deb into the folder `out`.

    Timestamps are SOURCE_DATE_EPOCH, else the time of the checkout's last commit.
    Raises ConfigError if the checkout or a wheel is invalid, DependencyError if a tool or wheel is missing.
    """
    wheels = fetch_wheels(target, read_lock(target.lock(checkout)), cache)
    version = checkout_version(checkout)
    stamp = Stamp(f"{debian_version(version)}-{revision}.{target.system}", version, MAINTAINER, commit_time_s(checkout))
    path = out / f"{PACKAGE}_{stamp.version}_{target.architecture}.deb"
    try:
        with tempfile.TemporaryDirectory(prefix="handmap-deb-") as name:
            root, made = Path(name) / "root", Path(name) / "made.deb"
            root.mkdir()
            fill(root, checkout, target, wheels, stamp)
            write_control(root, target, stamp)
            _level(root, stamp.epoch_s)
            _pack(root, made, stamp.epoch_s)
            write_file(path, made.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"deb: {str(path)!r} cannot be written ({error}); it needs room for the package there, and for twice its size in the "
            "temporary folder: free some space, or set other folders with --out and TMPDIR"
        ) from error
    return BuiltDeb(path, stamp.version, path.stat().st_size, sha256_of(path), len(wheels) + 1)


def commit_time_s(checkout: Path) -> int:
    """The timestamp of what is built: SOURCE_DATE_EPOCH, else that of the last commit.

    Raises ConfigError if there is neither.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is not None:
        if not given.isdecimal():
            raise ConfigError(f"deb: found SOURCE_DATE_EPOCH={given!r}, wanted seconds since 1970; fix or unset it")
        return int(given)
    done = ask_git(checkout, "log", "-1", "--format=%ct")
    if done.returncode != 0:
        raise ConfigError(
            f"deb: the checkout {str(checkout)!r} has no commit to take timestamps from ({complaint(done)}); "
            "set SOURCE_DATE_EPOCH, or name another with --checkout"
        )
    return int(done.stdout)


def _level(root: Path, epoch_s: int) -> None:
    """Sets one timestamp on all files, and the modes that they would have without a umask."""
    for path in [root, *root.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (epoch_s, epoch_s), follow_symlinks=False)


def _pack(root: Path, made: Path, epoch_s: int) -> None:
    # One thread: with more, xz splits the data into blocks, and the output depends on the number of cores.
    options = ["--root-owner-group", "--uniform-compression", "-Zxz", "-z0", "--threads-max=1"]
    try:
        done = subprocess.run(
            ["dpkg-deb", *options, "--build", str(root), str(made)],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"SOURCE_DATE_EPOCH": str(epoch_s)},
        )
    except FileNotFoundError as error:
        raise DependencyError(
            "deb: this machine has no dpkg-deb; build on Debian or Ubuntu, or install dpkg"
        ) from error
    if done.returncode != 0:
        raise DependencyError(f"deb: dpkg-deb could not build the package: {done.stderr.strip()}")
