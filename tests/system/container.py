"""A container that boots systemd like a machine of its own, with access from outside."""

import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from handmap.protocol.fields import MessageType
from handmap.protocol.packet import Packet, decode

T = TypeVar("T")

BOOT_S: Final = 180
CLONE_NEWNET: Final = 0x40000000


class Container:
    """The running system; `root` is its file system, seen from here."""

    def __init__(self, root: Path, leader: int) -> None:
        self.root = root
        self._leader = leader

    def run(self, *command: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Runs a command inside, as root."""
        entered = self._enter(command)
        return subprocess.run(entered, capture_output=True, text=True, check=False, timeout=120, input=stdin)

    @contextmanager
    def started(self, *command: str) -> "Iterator[subprocess.Popen[str]]":
        """A command that runs inside, as root; it is killed at the end if it did not end by itself."""
        process = subprocess.Popen(self._enter(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def _enter(self, command: tuple[str, ...]) -> list[str]:
        return ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "-C", "--", *command]

    def systemctl(self, *arguments: str) -> str:
        """The output of systemctl; AssertionError if it fails."""
        done = self.run("systemctl", *arguments)
        assert done.returncode == 0, f"systemctl {arguments}: {done.stdout}{done.stderr}{self.journal()}"
        return done.stdout.strip()

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.systemctl("show", unit, "-p", name, "--value")

    def journal(self, unit: str = "handmap*") -> str:
        """The log of a unit since the boot."""
        return self.run("journalctl", "--namespace=+handmap", "-b", "-o", "cat", "--no-pager", "-u", unit).stdout

    def write(self, path: str, text: str) -> None:
        """Writes a world-readable file."""
        file = self.root / path.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def drop_in(self, unit: str, text: str) -> None:
        """Changes a unit until the next boot; an empty text undoes the change."""
        path = f"/run/systemd/system/{unit}.d/test.conf"  # below /run: the container's own, not in its root
        self.run("sh", "-c", f"mkdir -p $(dirname {path}) && cat > {path}", stdin=text)
        self.systemctl("daemon-reload")

    def socket(self, port: int) -> socket.socket:
        """A UDP socket on the loopback of the container."""
        made: list[socket.socket] = []

        def make() -> None:  # only the thread goes into the other network; the socket stays there for good
            libc = ctypes.CDLL(None, use_errno=True)
            with open(f"/proc/{self._leader}/ns/net") as network:
                assert libc.setns(network.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            made.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            made[0].bind(("127.0.0.1", port))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        return made[0]


@contextmanager
def booted(root: Path, *binds: str) -> Iterator[Container]:
    """The container, from the end of its boot until it is powered off."""
    command = [
        "systemd-nspawn", "-q", "-D", str(root), "--boot", "--register=no", "--keep-unit", "--private-network",
        "--link-journal=no", "--console=pipe", "--kill-signal=SIGRTMIN+3", *(f"--bind-ro={bind}" for bind in binds),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    leader = 0
    try:
        leader = until(lambda: _child_of(process), "the container has a first process", BOOT_S)
        container = Container(root, leader)
        # Asked too early it may never answer.
        ask = ("timeout", "3", "systemctl", "is-system-running")
        until(lambda: container.run(*ask).stdout.strip() in ("running", "degraded"), "it has booted", BOOT_S)
        yield container
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            if leader:
                os.kill(leader, signal.SIGKILL)
            process.kill()
            process.wait()


def until(is_so: Callable[[], T], what: str, limit_s: float) -> T:
    """The first answer that is true."""
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        if answer := is_so():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not within {limit_s} s: {what}")


def next_packet(sink: socket.socket, is_wanted: Callable[[Packet], bool], limit_s: float = 60) -> Packet:
    """The first packet that is as wanted, of those that come from now on."""
    sink.setblocking(False)
    try:
        while sink.recv(2000):
            pass
    except BlockingIOError:
        sink.settimeout(limit_s)
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        if is_wanted(packet := decode(sink.recv(2000))):
            return packet
    raise AssertionError(f"no such packet within {limit_s} s")


def has_joints(packet: Packet) -> bool:
    """Whether it is one with the joints of a hand."""
    return packet.message_type is MessageType.JOINTS and len(packet.hands) == 1


def _child_of(process: "subprocess.Popen[bytes]") -> int:
    assert process.poll() is None, f"systemd-nspawn ended with {process.returncode}"
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0]) if children else 0
