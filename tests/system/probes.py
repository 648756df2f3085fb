"""Tries what a sandbox should deny and what it must let through; one JSON object of name to `ok` or the error's name.

`python3 probes.py NAME...`, inside a unit; standard library alone, as the machine's own Python runs it.
"""

import ctypes
import errno
import json
import mmap
import os
import socket
import stat
import sys
import tempfile
from collections.abc import Callable

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUTS = 0x04000000
LINUX32 = 8


def call(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "")


def write(path: str) -> None:
    with open(path, "w") as file:
        file.write("probe")
    os.unlink(path)


def make_setuid() -> None:
    with tempfile.NamedTemporaryFile(dir="/var/lib/handmap") as file:
        os.chmod(file.name, stat.S_ISUID | 0o700)


def send_to(address: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(b"probe", (address, 9))


def open_device(path: str) -> None:
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))


def write_tunable() -> None:
    path = "/proc/sys/kernel/printk_ratelimit"
    with open(path) as file:
        old = file.read()
    with open(path, "w") as file:
        file.write(old)


PROBES: dict[str, Callable[[], object]] = {
    "write /etc": lambda: write("/etc/probe"),
    "write /usr": lambda: write("/usr/probe"),
    "write /opt": lambda: write("/opt/probe"),
    "write /var/log": lambda: write("/var/log/probe"),
    "write /var/cache/handmap": lambda: write("/var/cache/handmap/probe"),
    "write /var/lib/handmap": lambda: write("/var/lib/handmap/probe"),
    "read /root": lambda: os.listdir("/root"),
    "read /tmp/marker": lambda: os.stat("/tmp/marker"),
    "see process 1": lambda: os.stat("/proc/1"),
    "new namespace": lambda: call(LIBC.unshare(CLONE_NEWUTS)),
    "mount": lambda: call(LIBC.mount(b"none", b"/mnt", b"tmpfs", 0, None)),
    "personality": lambda: call(LIBC.personality(LINUX32)),
    "packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
    "internet socket": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close(),
    "netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15).close(),
    "setuid file": make_setuid,
    "code in memory": lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close(),
    "realtime": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(5)),
    "kernel tunable": write_tunable,
    "host name": lambda: socket.sethostname(socket.gethostname()),
    "kernel log": lambda: open_device("/dev/kmsg"),
    "null": lambda: open_device("/dev/null"),
    "disk": lambda: open_device("/dev/vda"),
    "send to this machine": lambda: send_to("127.0.0.1"),
    "send to the board's USB network": lambda: send_to("192.168.55.7"),
    "send elsewhere": lambda: send_to("10.20.30.40"),
}


def attempt(name: str) -> str:
    try:
        PROBES[name]()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "ok"


sys.stdout.write("PROBES " + json.dumps({name: attempt(name) for name in sys.argv[1:]}) + "\n")
