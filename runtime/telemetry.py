"""Serves metrics for Prometheus at /metrics and the same facts as JSON at /status.json, on the loopback address only.

One thread answers all clients: at most 16 connections at a time, 2 s each, so that none can pile up threads or memory.
Frames never wait for it: it reads what the main loop counts anyway, at most four times per second.
"""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Final

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from handmap.protocol.fields import DaemonState
from handmap.system.timing import BUCKETS_MS, StageHistogram

from .snapshot import AGE, Snapshot, Sources, TargetFacts, stage_histograms, take_snapshot

LOG = logging.getLogger("handmap.telemetry")

HOST: Final = "127.0.0.1"
MAX_CONNECTIONS: Final = 16
LONGEST_S: Final = 2.0  # for a whole exchange
LONGEST_REQUEST_BYTES: Final = 8192
FRESH_S: Final = 0.25  # an answer is reused for this long: frequent requests cost the main loop nothing
BIND_AGAIN_S: Final = 5.0
JOIN_S: Final = 0.5


class Metrics(Collector):
    """A snapshot as metric families, in seconds and bytes as is Prometheus convention."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterable[Metric]:
        """All families."""
        now = take_snapshot(self._sources)
        histograms = stage_histograms(self._sources)
        age = histograms.pop(AGE, None)
        yield _histogram("handmap_stage_seconds", "Time of each stage of the loop.", "stage", histograms)
        if age is not None:
            yield _histogram("handmap_age_at_send_seconds", "From capture to publication.", "", {"": age})
        yield from _frames(now)
        yield _by(
            "handmap_state",
            "1 for the daemon's current state, 0 for the others.",
            "state",
            {s.name: s.name == now.state for s in DaemonState},
        )
        yield GaugeMetricFamily("handmap_hands", "Hands in the last frame.", now.hands)
        yield CounterMetricFamily("handmap_inferences", "Calls of the hand network.", now.inferences)
        yield _total_by(
            "handmap_restarts", "Cameras and engines reopened, and threads abandoned.", "kind", now.restarts
        )
        yield from _heat(now)
        yield from _targets(now.targets)
        reloads = {"taken": now.reload.taken, "refused": now.reload.refused}
        yield _total_by("handmap_reloads", "Reloads of the configuration.", "outcome", reloads)
        info = GaugeMetricFamily("handmap_info", "Always 1.", labels=["version", "bundle", "precision", "camera"])
        info.add_metric([now.version, now.bundle, now.precision, now.camera], 1)
        yield info


def _frames(now: Snapshot) -> Iterable[Metric]:
    counted = {
        "published": ("Frames processed and published.", now.published),
        "dropped": ("Frames overtaken by a newer one before their turn.", now.dropped),
        "skipped": ("Late frames skipped for one that followed at once.", now.skipped),
        "rested": ("Frames skipped because the device is warm.", now.throttled),
        "late": ("Frames published with an age above the budget.", now.late),
        "refused": ("Frames refused as repeated or stale.", now.refused),
    }
    for name, (text, value) in counted.items():
        yield CounterMetricFamily(f"handmap_frames_{name}", text, value)


def _heat(now: Snapshot) -> Iterable[Metric]:
    heat = now.thermal
    yield GaugeMetricFamily(
        "handmap_every_nth_frame", "Only every nth frame is processed: 1 cool, 2 warm, 4 hot.", heat.every_nth_frame
    )
    yield _by("handmap_temperature_celsius", "Thermal zones.", "zone", heat.temperatures_c)
    yield _by("handmap_throttling", "1 while the board throttles this clock.", "clock", heat.throttling)
    yield _total_by(
        "handmap_throttle_events",
        "Throttling events counted by the board since it booted.",
        "event",
        heat.throttle_events,
    )
    now_hz = {policy: mhz * 1e6 for policy, (mhz, _) in heat.cpu_mhz.items()}
    max_hz = {policy: mhz * 1e6 for policy, (_, mhz) in heat.cpu_mhz.items()}
    yield _by("handmap_cpu_frequency_hertz", "Now.", "policy", now_hz)
    yield _by("handmap_cpu_frequency_max_hertz", "Highest frequency of the hardware.", "policy", max_hz)


def _targets(targets: tuple[TargetFacts, ...]) -> Iterable[Metric]:
    names = [(target.name, target) for target in targets]
    yield _total_by("handmap_sent_bytes", "Bytes sent.", "target", {name: each.sent_bytes for name, each in names})
    yield _total_by("handmap_sent_packets", "Packets sent.", "target", {name: each.packets for name, each in names})
    yield _total_by("handmap_send_errors", "Packets not sent.", "target", {name: each.errors for name, each in names})


def _by(name: str, text: str, label: str, values: dict[str, float] | dict[str, bool]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], float(value))
    return family


def _total_by(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _histogram(name: str, text: str, label: str, stages: dict[str, StageHistogram]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=[label] if label else [])
    bounds = [*(f"{bound_ms / 1e3:g}" for bound_ms in BUCKETS_MS), "+Inf"]
    for key, stage in stages.items():
        sums = [sum(stage.counts[: index + 1]) for index in range(len(bounds))]
        family.add_metric([key] if label else [], list(zip(bounds, sums, strict=True)), stage.total_ns / 1e9)
    return family


class Telemetry:
    """Serves for the duration of a `with` block. While the port is taken, the daemon runs on without telemetry, logs that once, and retries."""

    def __init__(self, port: int | None, sources: Sources) -> None:
        self._sources = sources
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(Metrics(sources))
        ProcessCollector(registry=self._registry)
        self._pages: dict[bytes, tuple[str, Callable[[], bytes]]] = {
            b"/metrics": (CONTENT_TYPE_LATEST, lambda: generate_latest(self._registry)),
            b"/status.json": ("application/json", lambda: msgspec.json.encode(take_snapshot(self._sources))),
        }
        self._kept: dict[bytes, tuple[float, bytes]] = {}
        self._clients: set[asyncio.Task[None]] = set()
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._change: asyncio.Event | None = None
        self._is_stopping = False
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="telemetry", daemon=True)

    def __enter__(self) -> "Telemetry":
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_stopping = True
        self._wake()
        self._thread.join(JOIN_S)

    def configure(self, port: int | None) -> None:
        """Serves on another port from now on, or on none."""
        self._port = port
        self._wake()

    def _wake(self) -> None:
        if self._loop is not None and self._change is not None:
            self._loop.call_soon_threadsafe(self._change.set)

    async def _serve(self) -> None:
        self._loop, self._change = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        said_of: int | None = None
        while not self._is_stopping:
            self._change.clear()
            port = self._port
            listener = self._listen(port, is_said=port == said_of)
            said_of = port if listener is None else None
            try:
                wait_s = BIND_AGAIN_S if port is not None and listener is None else None
                await asyncio.wait_for(self._change.wait(), wait_s)
            except asyncio.TimeoutError:
                continue
            finally:
                if listener is not None:
                    self._loop.remove_reader(listener)
                    listener.close()

    def _listen(self, port: int | None, is_said: bool) -> socket.socket | None:
        if port is None or self._loop is None:
            return None
        try:
            listener = socket.create_server((HOST, port))
        except OSError as error:
            if not is_said:
                LOG.warning(
                    "telemetry=off port=%d error=%r hint=%r", port, error.strerror or str(error),
                    "another program or daemon has the port; set telemetry.port to a free one, the daemon runs on without",
                )  # fmt: skip
            return None
        listener.setblocking(False)
        self._loop.add_reader(listener, self._accept, listener)
        LOG.info("telemetry=http://%s:%d/metrics", HOST, port)
        return listener

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except OSError:  # the client is gone already
            return
        if self._loop is None or len(self._clients) >= MAX_CONNECTIONS:
            client.close()
            return
        client.setblocking(False)
        task = self._loop.create_task(self._meet(client))
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)
        task.add_done_callback(lambda _: client.close())  # also if the task is canceled before it starts

    async def _meet(self, client: socket.socket) -> None:
        """Answers one request, or gives up on a client that sends nothing or too much, does not read, or disconnects."""
        with suppress(asyncio.TimeoutError, OSError):
            await asyncio.wait_for(self._exchange(client), LONGEST_S)

    async def _exchange(self, client: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        request = b""
        while b"\r\n\r\n" not in request:
            part = await loop.sock_recv(client, LONGEST_REQUEST_BYTES)
            request += part
            if not part or len(request) > LONGEST_REQUEST_BYTES:
                return
        method, _, rest = request.partition(b" ")
        path = rest.split(b" ", 1)[0].split(b"?", 1)[0]
        if method != b"GET" or path not in self._pages:
            status, kind, body = "404 Not Found", "text/plain", b"GET /metrics or GET /status.json\n"
        else:
            status, kind, body = "200 OK", self._pages[path][0], self._page(path)
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        await loop.sock_sendall(client, head.encode() + body)

    def _page(self, path: bytes) -> bytes:
        """The page, rebuilt only if the last one is no longer fresh."""
        made_s, body = self._kept.get(path, (float("-inf"), b""))
        if time.monotonic() - made_s >= FRESH_S:
            body = self._pages[path][1]()
            self._kept[path] = (time.monotonic(), body)
        return body
