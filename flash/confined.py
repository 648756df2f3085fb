"""Runs one program of an image, confined to it: started by `flash.chroot` in new namespaces, as a program of its own.

After pivot_root nothing of the host's file system can be reached, not even by root: no capability is left to mount, to
make device nodes, or to change root again. Only the standard library is used, since nothing can be imported by then.

    confined.py ROOT [PACKAGE FILE]... -- COMMAND [ARGUMENT]...
"""

import ctypes
import os
import platform
import sys
from pathlib import Path

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MNT_DETACH = 2
PR_CAPBSET_READ, PR_CAPBSET_DROP = 23, 24
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}  # glibc has no wrapper
# Of linux/capability.h, what dpkg and maintainer scripts do to files and to their own processes.
KEPT = {
    "CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7, "SETFCAP": 31,
}  # fmt: skip
DEVICES = ("null", "zero", "full", "random", "urandom")
# Files of /proc that change the host whoever is root, and folders of such files.
READ_ONLY = ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi")
HIDDEN = ("kcore", "keys", "kmsg", "latency_stats", "sched_debug", "timer_list")
NO_SERVICES = "#!/bin/sh\nexit 101\n"
LIBC = ctypes.CDLL(None, use_errno=True)


def main(arguments: list[str]) -> None:
    """Sets up the mounts, enters the image, gives up what is not needed, and becomes the command."""
    split = arguments.index("--")
    root, files, command = Path(arguments[0]), arguments[1:split], arguments[split + 1 :]
    mount(str(root), root, flags=MS_BIND)
    mount(None, root, flags=MS_BIND | MS_REMOUNT | MS_NODEV | MS_NOSUID)
    make_mounts(root)
    for name, file in zip(files[::2], files[1::2], strict=True):
        bind(Path(file), root / "tmp/debs" / f"{name}.deb")
    enter(root)
    drop_capabilities()
    os.umask(0o022)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


def make_mounts(root: Path) -> None:
    """Mounts what programs expect: /proc, /sys, a small /dev, empty /run and /tmp, and a policy against starting services.

    An empty /run tells maintainer scripts that systemd is not running; onnxruntime aborts without /sys.
    """
    safe = MS_NOSUID | MS_NODEV | MS_NOEXEC
    mount("proc", root / "proc", "proc", safe)
    for name in READ_ONLY:
        if (place := root / "proc" / name).exists():
            bind(place, place)
    for name in HIDDEN:
        if (place := root / "proc" / name).exists():
            mount("/dev/null", place, flags=MS_BIND)
    mount("sysfs", root / "sys", "sysfs", safe | MS_RDONLY)
    for name, mode in (("run", "755"), ("tmp", "1777"), ("dev", "755")):
        mount("tmpfs", root / name, "tmpfs", MS_NOSUID | MS_NODEV, f"mode={mode}")
    for name in DEVICES:
        (root / "dev" / name).touch()
        mount(f"/dev/{name}", root / "dev" / name, flags=MS_BIND)
    for name, target in {"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        (root / "dev" / name).symlink_to(f"/proc/self/{target}")
    (root / "dev/shm").mkdir()
    (root / "dev/shm").chmod(0o1777)
    (root / "tmp/debs").mkdir()
    policy = root / "tmp/policy-rc.d"
    policy.write_text(NO_SERVICES)
    policy.chmod(0o755)
    mount(str(policy), root / "usr/sbin/policy-rc.d", flags=MS_BIND)


def bind(source: Path, place: Path) -> None:
    """Makes a file or folder appear at a place, read-only."""
    if not place.exists():
        place.touch()
    mount(str(source), place, flags=MS_BIND)
    mount(None, place, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)


def enter(root: Path) -> None:
    """Makes the image the root, and lets go of the host's."""
    os.chdir(root)
    # The old root is stacked on the new one, then taken away.
    check(LIBC.syscall(PIVOT_ROOT[platform.machine()], b".", b"."), "pivot_root")
    check(LIBC.umount2(b".", MNT_DETACH), "umount of the host's root")
    os.chdir("/")


def drop_capabilities() -> None:
    """Limits this process and all that it starts, whatever their user, to the capabilities in KEPT."""
    number = 0
    while LIBC.prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0:  # fails beyond the kernel's last one
        if number not in KEPT.values():
            check(LIBC.prctl(PR_CAPBSET_DROP, number, 0, 0, 0), f"dropping capability {number}")
        number += 1


def mount(source: str | None, place: Path, kind: str | None = None, flags: int = 0, options: str | None = None) -> None:
    """The mount system call."""
    words = [None if word is None else os.fsencode(word) for word in (source, place, kind)]
    data = None if options is None else options.encode()
    check(LIBC.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), data), f"mount on {place}")


def check(result: int, what: str) -> None:
    """Ends the process with a message if a call failed."""
    if result < 0:
        sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main(sys.argv[1:])
