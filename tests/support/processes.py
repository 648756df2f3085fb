"""Starting the real command in a process of its own, and listening to it."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from handmap.protocol.packet import Packet, decode

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "handmap"]


def handmap(*arguments: str | Path, timeout_s: float = 180) -> "subprocess.CompletedProcess[str]":
    """Runs the command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False
    )


@contextmanager
def started(*arguments: str | Path) -> Iterator["subprocess.Popen[str]"]:
    """The running command; it is killed at the end if it did not leave by itself."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextmanager
def listening(timeout_s: float = 60) -> Iterator[socket.socket]:
    """A UDP socket on a free port of the loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(timeout_s)
        yield sink


def port_of(sink: socket.socket) -> int:
    """The port of a bound socket."""
    port: int = sink.getsockname()[1]
    return port


def free_port() -> int:
    """A UDP port of the loopback address that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return port_of(probe)


def free_tcp_port() -> int:
    """A TCP port of the loopback address that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return port_of(probe)


def receive(sink: socket.socket) -> Packet:
    """The next packet."""
    return decode(sink.recv(2000))


def drain(sink: socket.socket) -> list[Packet]:
    """All packets that have arrived by now."""
    sink.setblocking(False)
    packets = []
    try:
        while True:
            packets.append(receive(sink))
    except BlockingIOError:
        return packets
