"""A running daemon with telemetry on a port of its own, asked as `handmap status` asks it."""

import socket
import time
from collections.abc import Callable

from handmap.types.errors import NoAnswer
from runtime.ask_daemon import ask_daemon
from runtime.snapshot import Snapshot


def free_port() -> int:
    """A TCP port of the loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, is_so: Callable[[Snapshot], bool], timeout_s: float = 60) -> Snapshot:
    """The first snapshot of which this holds."""
    end_s = time.monotonic() + timeout_s
    last: Snapshot | None = None
    while time.monotonic() < end_s:
        try:
            last = ask_daemon(port)
            if is_so(last):
                return last
        except NoAnswer:
            pass
        time.sleep(0.05)
    raise AssertionError(f"not so within {timeout_s} s; last: {last}")
