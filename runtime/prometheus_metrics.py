"""What the daemon knows of itself as metric families for Prometheus."""

from collections.abc import Callable, Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from handmap.protocol.fields import DaemonState
from handmap.system.timing import BUCKETS_MS, StageHistogram

from .flight.facts import FlightFacts
from .snapshot import AGE, ControlFacts, Snapshot, Sources, TargetFacts, stage_histograms, take_snapshot

METRICS_TYPE = CONTENT_TYPE_LATEST  # what the page's Content-Type says


def metrics_page(sources: Sources) -> Callable[[], bytes]:
    """Renders the page that Prometheus reads, of the daemon's own facts and of its process, as often as it is called."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Metrics(sources))
    ProcessCollector(registry=registry)
    return lambda: generate_latest(registry)


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
        if now.control is not None:
            yield from _control(now.control)
        if now.flight is not None:
            yield from _flight(now.flight)
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
        "throttled": ("Frames skipped because the device is warm.", now.throttled),
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


def _control(control: ControlFacts) -> Iterable[Metric]:
    yield GaugeMetricFamily("handmap_control_open", "1 while the control port is open.", float(not control.problem))
    yield GaugeMetricFamily("handmap_subscribers", "Receivers that have subscribed.", len(control.subscribers))
    requests = {"answered": control.answered, "refused": control.refused}
    yield _total_by("handmap_control_requests", "Datagrams read at the control port.", "outcome", requests)
    yield CounterMetricFamily("handmap_subscriber_errors", "Packets not sent to subscribers.", control.errors)


def _flight(flight: FlightFacts) -> Iterable[Metric]:
    yield GaugeMetricFamily("handmap_flight_frames", "Frames in the flight recorder's ring.", flight.frames)
    yield GaugeMetricFamily("handmap_flight_seconds", "How far back the ring reaches.", flight.seconds)
    yield GaugeMetricFamily("handmap_flight_bytes", "Memory of the ring.", flight.bytes)
    yield CounterMetricFamily(
        "handmap_flight_skipped", "Frames that came faster than they are compressed.", flight.skipped
    )
    outcomes = {"written": flight.written, "failed": flight.failed}
    yield _total_by("handmap_snapshots", "Snapshots of the flight recorder.", "outcome", outcomes)


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
