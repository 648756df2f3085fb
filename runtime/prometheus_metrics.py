"""What the daemon knows of itself as metric families for Prometheus."""

from collections.abc import Callable, Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from handmap.protocol.fields import DaemonState

from .flight.facts import FlightFacts
from .metric_families import quality_families, time_histogram, total_by, value_by
from .port_facts import ControlFacts, PreviewFacts
from .snapshot import AGE, Snapshot, Sources, TargetFacts, stage_histograms, take_snapshot

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
        yield time_histogram("handmap_stage_seconds", "Time of each stage of the loop.", "stage", histograms)
        if age is not None:
            yield time_histogram("handmap_age_at_send_seconds", "From capture to publication.", "", {"": age})
        yield from _frames(now)
        yield from quality_families(self._sources.quality)
        yield from _camera(now, self._sources.status.counts.arrivals.total)
        if now.gpu_memory is not None:
            yield GaugeMetricFamily(
                "handmap_gpu_memory_used_bytes", "In use by all programs.", now.gpu_memory.used_bytes
            )
            yield GaugeMetricFamily("handmap_gpu_memory_bytes", "Of the GPU.", now.gpu_memory.total_bytes)
        yield value_by(
            "handmap_state",
            "1 for the daemon's current state, 0 for the others.",
            "state",
            {s.name: s.name == now.state for s in DaemonState},
        )
        yield GaugeMetricFamily("handmap_hands", "Hands in the last frame.", now.hands)
        yield CounterMetricFamily("handmap_inferences", "Calls of the hand network.", now.inferences)
        yield total_by("handmap_restarts", "Cameras and engines reopened, and threads abandoned.", "kind", now.restarts)
        yield from _heat(now)
        yield from _targets(now.targets)
        if now.control is not None:
            yield from _control(now.control)
        if now.preview is not None:
            yield from _preview(now.preview)
        if now.flight is not None:
            yield from _flight(now.flight)
        reloads = {"taken": now.reload.taken, "refused": now.reload.refused}
        yield total_by("handmap_reloads", "Reloads of the configuration.", "outcome", reloads)
        info = GaugeMetricFamily(
            "handmap_info", "Always 1.", labels=["version", "bundle", "engine", "precision", "camera"]
        )
        info.add_metric([now.version, now.bundle, now.engine, now.precision, now.camera], 1)
        yield info


def _camera(now: Snapshot, frames: int) -> Iterable[Metric]:
    yield CounterMetricFamily("handmap_camera_frames", "Frames that the camera delivered.", frames)
    yield GaugeMetricFamily(
        "handmap_camera_rate_hertz", "Frames per second that the camera delivers now.", now.camera_rate_hz
    )
    if now.asked_rate_hz is not None:
        yield GaugeMetricFamily(
            "handmap_camera_asked_rate_hertz", "Frames per second asked of the camera.", now.asked_rate_hz
        )


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
    yield value_by("handmap_temperature_celsius", "Thermal zones.", "zone", heat.temperatures_c)
    yield value_by("handmap_throttling", "1 while the board throttles this clock.", "clock", heat.throttling)
    yield total_by(
        "handmap_throttle_events",
        "Throttling events counted by the board since it booted.",
        "event",
        heat.throttle_events,
    )
    now_hz = {policy: mhz * 1e6 for policy, (mhz, _) in heat.cpu_mhz.items()}
    max_hz = {policy: mhz * 1e6 for policy, (_, mhz) in heat.cpu_mhz.items()}
    yield value_by("handmap_cpu_frequency_hertz", "Now.", "policy", now_hz)
    yield value_by("handmap_cpu_frequency_max_hertz", "Highest frequency of the hardware.", "policy", max_hz)


def _targets(targets: tuple[TargetFacts, ...]) -> Iterable[Metric]:
    names = [(target.name, target) for target in targets]
    yield total_by("handmap_sent_bytes", "Bytes sent.", "target", {name: each.sent_bytes for name, each in names})
    yield total_by("handmap_sent_packets", "Packets sent.", "target", {name: each.packets for name, each in names})
    yield total_by("handmap_send_errors", "Packets not sent.", "target", {name: each.errors for name, each in names})


def _control(control: ControlFacts) -> Iterable[Metric]:
    yield GaugeMetricFamily("handmap_control_open", "1 while the control port is open.", float(not control.problem))
    yield GaugeMetricFamily("handmap_subscribers", "Receivers that have subscribed.", len(control.subscribers))
    requests = {"answered": control.answered, "refused": control.refused}
    yield total_by("handmap_control_requests", "Datagrams read at the control port.", "outcome", requests)
    yield CounterMetricFamily("handmap_subscriber_errors", "Packets not sent to subscribers.", control.errors)


def _preview(preview: PreviewFacts) -> Iterable[Metric]:
    yield GaugeMetricFamily("handmap_preview_open", "1 while the preview's port is open.", float(not preview.problem))
    yield GaugeMetricFamily("handmap_preview_viewers", "Pages that are shown depth pictures.", preview.viewers)
    yield CounterMetricFamily("handmap_preview_pictures", "Depth pictures taken for them.", preview.pictures)
    yield CounterMetricFamily("handmap_preview_refused", "Viewers refused.", preview.refused)


def _flight(flight: FlightFacts) -> Iterable[Metric]:
    yield GaugeMetricFamily("handmap_flight_frames", "Frames in the flight recorder's ring.", flight.frames)
    yield GaugeMetricFamily("handmap_flight_seconds", "How far back the ring reaches.", flight.seconds)
    yield GaugeMetricFamily("handmap_flight_bytes", "Memory of the ring.", flight.bytes)
    yield CounterMetricFamily(
        "handmap_flight_skipped", "Frames that came faster than they are compressed.", flight.skipped
    )
    outcomes = {"written": flight.written, "failed": flight.failed}
    yield total_by("handmap_snapshots", "Snapshots of the flight recorder.", "outcome", outcomes)
