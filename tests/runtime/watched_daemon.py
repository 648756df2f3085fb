"""A daemon in a thread of the test, with a schedule of faults, and everything that it puts on the wire."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from handmap.bundle.manifest import Bundle
from handmap.protocol.fields import HandFlags, MessageType
from handmap.protocol.packet import Packet, decode
from runtime.daemon import Daemon
from runtime.retry import StopFlag
from runtime.settings import read_settings
from tests.support.processes import listening, port_of

RECOVERY_S = 2.0
HEARTBEAT_GAP_S = 1.9  # one is sent each second, and none is missed
IN_FLIGHT_S = 0.3  # frames from before the fault that are still on their way


class WatchedDaemon:
    """Times are seconds since the daemon was made, which is when its schedule began."""

    def __init__(self, daemon: Daemon, stop: StopFlag, sink: socket.socket) -> None:
        self.start_s = time.monotonic()
        self.packets: list[tuple[float, Packet]] = []
        self.error: BaseException | None = None
        self.stop = stop
        self.counts = daemon.counts
        self._daemon = daemon
        self._sink = sink
        self._is_over = threading.Event()
        self._listener = threading.Thread(target=self._listen)
        self._runner = threading.Thread(target=self._run)
        self._listener.start()
        self._runner.start()

    def now_s(self) -> float:
        return time.monotonic() - self.start_s

    def wait_until(self, time_s: float) -> None:
        time.sleep(max(time_s - self.now_s(), 0))

    def wait_for(self, is_wanted: Callable[[Packet], bool], from_s: float, limit_s: float = 30) -> float:
        """When the first such packet came after from_s."""
        while True:
            for start_s, packet in list(self.packets):
                if start_s >= from_s and is_wanted(packet):
                    return start_s
            assert self.now_s() < from_s + limit_s, f"no such packet from {from_s} s on; error {self.error!r}"
            time.sleep(0.02)

    def between(self, from_s: float, to_s: float) -> list[Packet]:
        return [packet for start_s, packet in self.packets if from_s <= start_s < to_s]

    def heartbeat_gap_s(self) -> float:
        """The longest time between two heartbeats."""
        times = [start_s for start_s, packet in self.packets if packet.message_type is MessageType.HEARTBEAT]
        return max(later - earlier for earlier, later in pairwise(times))

    def end(self) -> None:
        self.stop.set()
        self._runner.join(30)
        assert not self._runner.is_alive()
        time.sleep(0.05)
        self._is_over.set()
        self._listener.join(30)

    def _run(self) -> None:
        try:
            self._daemon.run()
        except BaseException as error:  # noqa: BLE001  looked at by the test
            self.error = error

    def _listen(self) -> None:
        self._sink.settimeout(0.02)
        while not self._is_over.is_set():
            try:
                data = self._sink.recv(2000)
            except TimeoutError:
                continue
            self.packets.append((self.now_s(), decode(data)))


def write_faulty_config(
    path: Path, bundle: Path, recording: Path, ports: list[int], faults: str, clock_scale: float = 1.0
) -> Path:
    """A configuration file with a schedule of faults around a replay; it listens on no port."""
    targets = ", ".join(f"{{host: 127.0.0.1, port: {port}}}" for port in ports)
    path.write_text(
        f"bundle: {bundle}\n"
        "camera:\n"
        "  kind: faulty\n"
        f"  clock_scale: {clock_scale}\n"
        f"  camera: {{kind: replay, path: {recording}}}\n"
        f"  faults: [{faults}]\n"
        f"publish: {{targets: [{targets}]}}\n"
        "log: {stats_interval_s: 0.5}\n"
        "telemetry: {port: null}\npreview: null\n"
        "smoothing: {enabled: false}\n"  # positions are compared with where the blob is
    )
    return path


def has_valid_hand(packet: Packet) -> bool:
    return any(hand.flags & HandFlags.VALID for hand in packet.hands)


@contextmanager
def watched(
    folder: Path, bundle: Bundle, recording: Path, faults: str, clock_scale: float = 1.0, stop: StopFlag | None = None
) -> Iterator[WatchedDaemon]:
    """The running daemon; it has stopped and all its packets are there after the `with`."""
    flag = stop or StopFlag()
    with listening() as sink:
        config = write_faulty_config(folder / "c.yaml", bundle.path, recording, [port_of(sink)], faults, clock_scale)
        run = WatchedDaemon(Daemon(read_settings(config), flag), flag, sink)
        try:
            yield run
        finally:
            run.end()
