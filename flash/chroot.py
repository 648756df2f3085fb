"""Runs programs inside an image: with private mounts, no network, and no services started."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from handmap.types.errors import ConfigError, DependencyError

POLICY: Final = "usr/sbin/policy-rc.d"
# All mounts end with the namespace, however this process ends. An empty /run tells maintainer scripts that systemd is
# not running; onnxruntime aborts without /sys.
SCRIPT: Final = """\
root=$1; shift
mount -t proc proc "$root/proc"
mount --rbind -o ro /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mkdir "$root/tmp/debs"
printf '#!/bin/sh\\nexit 101\\n' > "$root/tmp/policy-rc.d"
chmod 755 "$root/tmp/policy-rc.d"
mount --bind "$root/tmp/policy-rc.d" "$root/usr/sbin/policy-rc.d"
while [ "$1" != -- ]; do
    : > "$root/tmp/debs/$1.deb"
    mount --bind -o ro "$2" "$root/tmp/debs/$1.deb"
    shift 2
done
shift
cd /
exec chroot "$root" "$@"
"""
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


def run_inside(rootfs: Path, *command: str, debs: Mapping[str, Path] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a program of the image to completion; `debs`, by package name, appear to it as /tmp/debs/NAME.deb.

    Raises ConfigError unless run as root, DependencyError if this machine has no unshare.
    """
    need_root()
    namespaces = ("--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child", "--propagation", "private")
    files = [word for name, path in (debs or {}).items() for word in (name, str(path.resolve()))]
    with _mount_point(rootfs / POLICY):
        try:
            return subprocess.run(
                ["unshare", *namespaces, "sh", "-euc", SCRIPT, "sh", str(rootfs.resolve()), *files, "--", *command],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                stdin=subprocess.DEVNULL,  # a maintainer script that asks a question gets EOF instead of waiting
                env=ENVIRONMENT,
            )
        except FileNotFoundError as error:
            raise DependencyError("flash-overlay: this machine has no unshare; install util-linux") from error


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
