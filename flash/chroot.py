"""Programs of an image, run in it: mounts that only they see, no network, and no service started."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from handmap.types.errors import ConfigError, DependencyError

POLICY: Final = "usr/sbin/policy-rc.d"
# All mounts die with the namespace, whatever ends us. An empty /run tells maintainer scripts that no systemd runs; onnxruntime aborts without /sys.
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
    """Raises ConfigError for anybody but root."""
    if os.geteuid() != 0:
        raise ConfigError("flash-overlay: programs of the image can only be run by root; use sudo, or --dry-run")


def run_inside(rootfs: Path, *command: str, debs: Mapping[str, Path] | None = None) -> subprocess.CompletedProcess[str]:
    """A program of the image to its end; `debs`, by names of packages, lie in its /tmp/debs meanwhile, NAME.deb each.

    Raises ConfigError for anybody but root, DependencyError where this machine has no unshare.
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
                stdin=subprocess.DEVNULL,  # a maintainer script that asks gets no answer, rather than waiting for one
                env=ENVIRONMENT,
            )
        except FileNotFoundError as error:
            raise DependencyError("flash-overlay: unshare is not on this machine; install util-linux") from error


@contextmanager
def _mount_point(path: Path) -> Iterator[None]:
    """An empty file to mount over, gone afterwards; one that the image has of its own stays."""
    # Of a link the size is the length of where it leads: what it leads to is nobody's to make or delete.
    has_own = os.path.lexists(path) and path.lstat().st_size > 0
    if not has_own:
        path.touch(mode=0o644)
    try:
        yield
    finally:
        if not has_own:
            path.unlink()
