"""Runs programs inside an image, confined to it: nothing of this machine is in their reach, and no services are started."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from handmap.system.jetpack import RELEASE_FILE
from handmap.types.errors import ConfigError, DependencyError

from .contents import CONFIG, SHARE

POLICY: Final = "usr/sbin/policy-rc.d"
CONFINED: Final = Path(__file__).with_name("confined.py")
# Paths in an image that programs outside of it read, write or mount over.
TOUCHED: Final = (
    RELEASE_FILE.relative_to("/"),
    "var/lib/dpkg/status",
    CONFIG,
    SHARE,
    POLICY,
    "tmp",
    "run",
    "dev",
    "proc",
    "sys",
)
ENVIRONMENT: Final = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
    "LC_ALL": "C",
    "HOME": "/root",
}


def need_root() -> None:
    """Raises ConfigError unless run as root."""
    if os.geteuid() != 0:
        raise ConfigError("flash-overlay: only root can run the image's programs; use sudo, or --dry-run")


def refuse_links_out(rootfs: Path) -> None:
    """Raises ConfigError if a link would lead this machine's programs out of the image, where they would change the host.

    To be asked before the image is touched, again after each of its own programs: that may have made such a link.
    """
    for name in TOUCHED:
        if leads_out(rootfs, rootfs / name):
            raise ConfigError(
                f"flash-overlay: '{rootfs}/{name}' leads out of the image, to {os.path.realpath(rootfs / name)!r}; replace it with a "
                "relative link that stays inside"
            )


def leads_out(rootfs: Path, path: Path) -> bool:
    """Whether links on a path below an image's root lead out of it."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(rootfs))


def run_inside(rootfs: Path, *command: str, debs: Mapping[str, Path] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a program of the image to completion; `debs`, by package name, appear to it as /tmp/debs/NAME.deb.

    It sees the image and nothing else: no file, device, process or network of this machine (`flash.confined`). All
    mounts end with its namespaces, however this process ends.
    Raises ConfigError unless run as root or if the image has links out of it, DependencyError if this machine has no
    setpriv and unshare.
    """
    need_root()
    refuse_links_out(rootfs)
    namespaces = ("--mount", "--net", "--ipc", "--uts", "--cgroup", "--pid", "--fork", "--kill-child")
    files = [word for name, path in (debs or {}).items() for word in (name, str(path.resolve()))]
    confined = (sys.executable, "-I", "-B", str(CONFINED), str(rootfs.resolve()), *files, "--", *command)
    with _mount_point(rootfs / POLICY):
        try:
            done = subprocess.run(
                # In a session of its own it would outlive this process; --kill-child ends what it started.
                ["setpriv", "--pdeathsig", "KILL", "unshare", *namespaces, "--propagation", "private", *confined],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                stdin=subprocess.DEVNULL,  # a maintainer script that asks a question gets EOF instead of waiting
                start_new_session=True,  # without the terminal, into which it could type
                env=ENVIRONMENT,
            )
        except FileNotFoundError as error:
            raise DependencyError("flash-overlay: this machine has no setpriv; install util-linux") from error
    refuse_links_out(rootfs)
    return done


@contextmanager
def _mount_point(path: Path) -> Iterator[None]:
    """An empty file to mount over, deleted afterwards; a file that the image already has is kept."""
    # For a symlink the size is the length of its target; the target itself is neither created nor deleted.
    has_own = os.path.lexists(path) and path.lstat().st_size > 0
    if not has_own:
        path.touch(mode=0o644)
    try:
        yield
    finally:
        if not has_own:
            path.unlink()
