"""Programs of an image, run in it: mounts that only they see, no network, and no service started."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from handmap.errors import ConfigError, DependencyError

POLICY: Final = "usr/sbin/policy-rc.d"
# All mounts die with the namespace. An empty /run tells maintainer scripts that no systemd runs; onnxruntime aborts without /sys.
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
    : > "$root/tmp/debs/${1##*/}"
    mount --bind -o ro "$1" "$root/tmp/debs/${1##*/}"
    shift
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


def run_inside(rootfs: Path, *command: str, debs: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
    """A program of the image to its end; `debs` lie in its /tmp/debs meanwhile.

    Raises ConfigError for anybody but root, DependencyError where this machine has no unshare.
    """
    if os.geteuid() != 0:
        raise ConfigError("flash-overlay: programs of the image can only be run by root; use sudo, or --dry-run")
    namespaces = ("--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child", "--propagation", "private")
    files = [str(path.resolve()) for path in debs]
    with _mount_point(rootfs / POLICY):
        try:
            return subprocess.run(
                ["unshare", *namespaces, "sh", "-euc", SCRIPT, "sh", str(rootfs.resolve()), *files, "--", *command],
                capture_output=True,
                text=True,
                check=False,
                env=ENVIRONMENT,
            )
        except FileNotFoundError as error:
            raise DependencyError("flash-overlay: unshare is not on this machine; install util-linux") from error


@contextmanager
def _mount_point(path: Path) -> Iterator[None]:
    """An empty file to mount over, gone afterwards; one that the image has of its own stays."""
    has_own = path.exists() and path.stat().st_size > 0
    if not has_own:
        path.touch(mode=0o644)
    try:
        yield
    finally:
        if not has_own:
            path.unlink()
