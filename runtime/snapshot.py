"""The daemon's facts about itself at one moment, for `handmap status` and Prometheus alike."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from handmap import __version__
from handmap.engines.engine import GpuMemory
from handmap.skeleton.body import Bodies
from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.skeleton.hand_size import hand_length
from handmap.system.timing import StageClock, StageHistogram

from .control import ControlPort
from .flight.facts import FlightFacts
from .outlet import Target
from .port_facts import ControlFacts, PreviewFacts, control_facts, preview_facts
from .preview import Preview
from .quality import HandQuality, Quality
from .reload import Reload
from .state import DaemonStatus
from .stats import StatsLog
from .thermal import ThermalWatch

AGE: Final = "age"  # the stage clock's name for the time from capture to publication
INFER: Final = "infer"


class StageTimes(msgspec.Struct, frozen=True):
    """A stage over the last window: percentiles in ms."""

    p50_ms: float
    p99_ms: float
    max_ms: float


class TargetFacts(msgspec.Struct, frozen=True):
    """A receiver, with totals since the start of the daemon or since it was configured."""

    name: str
    packets: int
    sent_bytes: int
    errors: int
    is_failing: bool


class ThermalState(msgspec.Struct, frozen=True):
    """Temperatures and the resulting rate; every_nth_frame is 1 while the device is cool."""

    band: str
    every_nth_frame: int
    temperatures_c: dict[str, float]
    throttles_from_c: float | None
    throttling: dict[str, bool]
    throttle_events: dict[str, int]
    cpu_mhz: dict[str, tuple[float, float]]


class ReloadFacts(msgspec.Struct, frozen=True):
    """Reloads of the configuration; refusal is why the last one was refused, empty if it was accepted."""

    taken: int
    refused: int
    refusal: str


class HandSizeFacts(msgspec.Struct, frozen=True):
    """The size of a fitted hand, wrist to middle fingertip along the bones, and its standard deviation, mm; learned until it is held."""

    track_id: int
    hand: str
    length_mm: float
    expected_error_mm: float
    learned_s: float
    is_held: bool


class Snapshot(msgspec.Struct, frozen=True):
    """Everything that `handmap status --json` prints.

    Counts are totals since the start. The rate is that of the newest frames; stages cover the last window of stats_interval_s,
    or the first one so far. Both are 0 or empty when no frames arrive.
    """

    version: str
    pid: int
    config: str
    uptime_s: float
    state: str
    reason: str
    bundle: str
    precision: str
    camera: str
    rate_hz: float
    hands: int
    published: int
    dropped: int
    skipped: int
    throttled: int
    late: int
    refused: int
    inferences: int
    restarts: dict[str, int]
    stages: dict[str, StageTimes]
    targets: tuple[TargetFacts, ...]
    thermal: ThermalState
    reload: ReloadFacts
    warning: str = ""
    hand_sizes: tuple[HandSizeFacts, ...] = ()
    hand_qualities: tuple[HandQuality, ...] = ()
    engine: str = ""
    camera_rate_hz: float = 0.0
    asked_rate_hz: float | None = None
    gpu_memory: GpuMemory | None = None
    control: ControlFacts | None = None
    preview: PreviewFacts | None = None
    flight: FlightFacts | None = None


@dataclass
class Sources:
    """Where the facts come from. Only the daemon's main loop writes here."""

    status: DaemonStatus
    clock: StageClock
    stats: StatsLog
    thermal: ThermalWatch
    reload: Reload
    quality: Quality
    config: Path | None = None
    targets: Callable[[], Sequence[Target]] = tuple
    control: Callable[[], ControlPort | None] = lambda: None
    preview: Preview | None = None
    flight: Callable[[], FlightFacts | None] = lambda: None
    ask_snapshot: Callable[[str], int] = lambda trigger: 0  # the number of the snapshot; 0: none is recorded
    bundle: str = ""
    precision: str = ""
    camera: str = ""
    engine: str = ""  # the backend that runs, which can be the fallback
    asked_rate_hz: float | None = None
    gpu_memory: Callable[[], GpuMemory | None] = lambda: None
    started_s: float = field(default_factory=time.monotonic)


def take_snapshot(sources: Sources) -> Snapshot:
    """The current facts. Any thread can call this; nothing waits for it."""
    status, facts, reload = sources.status, sources.thermal.facts, sources.reload
    counts = status.counts
    stages = sources.stats.stages()
    infer = sources.clock.histograms().get(INFER)
    state, reason = status.reported
    return Snapshot(
        version=__version__,
        pid=os.getpid(),
        config=str(sources.config or ""),
        uptime_s=round(time.monotonic() - sources.started_s, 1),
        state=state.name,
        reason=reason,
        bundle=sources.bundle,
        precision=sources.precision,
        camera=sources.camera,
        rate_hz=round(sources.stats.rate_hz(), 1),
        hands=status.hands,
        published=sources.stats.published,
        dropped=counts.dropped,
        skipped=counts.skipped,
        throttled=counts.throttled,
        late=counts.late,
        refused=counts.stale + counts.repeated + counts.outdated,
        inferences=0 if infer is None else sum(infer.counts),
        restarts={
            "camera": max(counts.camera_openings - 1, 0),
            "engine": max(counts.engine_openings - 1, 0),
            "hung": counts.hung,
        },
        stages={
            name: StageTimes(round(stage.p50_ms, 3), round(stage.p99_ms, 3), round(stage.max_ms, 3))
            for name, stage in stages.items()
        },
        targets=tuple(
            TargetFacts(target.name, target.packets, target.sent_bytes, target.errors, target.is_failing)
            for target in sources.targets()
        ),
        thermal=ThermalState(
            sources.thermal.band.name, sources.thermal.band.value, facts.temperatures_c, facts.throttles_from_c,
            facts.throttling, facts.throttle_events, facts.cpu_mhz,
        ),
        reload=ReloadFacts(reload.taken, reload.refused, reload.refusal),
        warning=status.warning,
        hand_sizes=_hand_sizes(status.bodies),
        hand_qualities=sources.quality.hands,
        engine=sources.engine,
        camera_rate_hz=round(counts.arrivals.rate_hz(), 1),
        asked_rate_hz=sources.asked_rate_hz,
        gpu_memory=sources.gpu_memory(),
        control=control_facts(sources.control()),
        preview=preview_facts(sources.preview),
        flight=sources.flight(),
    )  # fmt: skip


def stage_histograms(sources: Sources) -> dict[str, StageHistogram]:
    """The stages' histograms since the start; `age` is the age at send."""
    return dict(sources.clock.histograms())


def _hand_sizes(bodies: Bodies | None) -> tuple[HandSizeFacts, ...]:
    if bodies is None:
        return ()
    size, length = bodies.size, hand_length(load_skeleton_model(), bodies.size)
    return tuple(
        HandSizeFacts(
            track_id,
            "left" if bodies.hands.is_left[row] else "right",
            round(float(length.length_mm[row]), 1),
            round(float(length.deviation_mm[row]), 1),
            round(float(size.seconds[row]), 1),
            bool(size.is_held[row]),
        )
        for row, track_id in enumerate(bodies.track_ids)
    )
