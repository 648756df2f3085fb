"""`handmap bench`: runs a recording through the daemon's own path at full speed and times every stage and frame."""

import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from handmap.bundle.manifest import Bundle
from handmap.engines.engine import Engines
from handmap.protocol.fields import Precision
from handmap.recording.depth_range import why_no_hand
from handmap.recording.stated import RecordingAt
from handmap.system.notify import Notifier
from handmap.system.timing import StageClock, StageSummary
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import TrackerSettings
from handmap.types.errors import RecordingError

from .cameras.replay import ReplayConfig
from .capture import Capture
from .publish import ModelFacts, Publisher, open_publisher
from .publish_config import PublishConfig, TargetConfig
from .state import DaemonStatus

WAIT_S = 5.0
WARM_UP_FRAMES = 10
CAPACITY = 100_000


@dataclass(frozen=True)
class BenchReport:
    """What was measured: not_infer is a frame's time outside the engine, end_to_end runs from frame taken to packet sent."""

    stages: dict[str, StageSummary]
    end_to_end: StageSummary
    fps: float
    frames: int
    hands: int
    dropped: int
    rss_mb: float
    load_average: tuple[float, float, float]
    precision: str
    threads: int
    note: str | None  # why there may be no hand

    def as_json(self) -> dict[str, Any]:
        """Plain values for a JSON encoder."""
        return asdict(self)


def run_bench(
    bundle: Bundle, engines: Engines, threads: int, at: RecordingAt, settings: TrackerSettings
) -> BenchReport:
    """Runs every frame of the recording through the daemon's path and publishes to a socket of this process."""
    clock = StageClock(CAPACITY)
    load_average = os.getloadavg()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        publisher = open_publisher(PublishConfig((TargetConfig("127.0.0.1", sink.getsockname()[1]),)))
        publisher.identify(ModelFacts(bundle.id, bundle.path.name, Precision[engines.hand.precision.upper()]))
        try:
            replay = _replay_of(at)
            source = replay.source()
            with Capture(source.open(), pace=source.pace) as capture:
                frames, hands, elapsed_s = _run(capture, engines, settings, publisher, clock)
                dropped = capture.dropped
        finally:
            publisher.close()
    if not frames:
        raise RecordingError(
            f"bench: recording {str(at)!r} has no frame left after {WARM_UP_FRAMES} frames of warm-up; use a longer one"
        )
    stages = dict(clock.summarize())
    end_to_end = stages.pop("end_to_end", StageSummary(0, 0.0, 0.0, 0.0))
    rss_mb = _peak_rss_mb()
    fps = frames / elapsed_s if elapsed_s > 0 else 0.0
    note = None if hands else why_no_hand(replay.open_recording())
    return BenchReport(
        stages, end_to_end, fps, frames, hands, dropped, rss_mb, load_average, engines.hand.precision, threads, note
    )


def _replay_of(at: RecordingAt) -> ReplayConfig:
    """The recording as a camera, as fast as its frames are processed."""
    stated = at.stated
    return ReplayConfig(at.path, "flat_out", False, stated.topic, stated.depth_unit_mm, stated.intrinsics)


def _peak_rss_mb() -> float:
    """Peak resident memory of this process; getrusage would include that of the process it was forked from."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def _run(
    capture: Capture,
    engines: Engines,
    settings: TrackerSettings,
    publisher: Publisher,
    clock: StageClock,
) -> tuple[int, int, float]:
    """Frames and hands published after the warm-up, and the seconds they took."""
    status = DaemonStatus(Notifier(None))
    state = TrackerState()
    frames = hands = 0
    start_s = end_s = time.perf_counter()
    while True:
        wait_ns = time.perf_counter_ns()
        frame = capture.wait_newest(WAIT_S)
        if frame is None:
            return max(frames - WARM_UP_FRAMES, 0), hands, end_s - start_s
        if frames == WARM_UP_FRAMES:
            clock.clear()
            hands, start_s = 0, time.perf_counter()
        taken_ns = time.perf_counter_ns()
        clock.record("wait", taken_ns - wait_ns)
        infer_ns = clock.total_ns("infer")
        poses, state = track_hands(frame, state, engines, settings, clock)
        status.saw(frame, len(poses))
        with clock.stage("publish"):
            publisher.publish(frame, poses, status)
        whole_ns = time.perf_counter_ns() - taken_ns
        clock.record("not_infer", whole_ns - (clock.total_ns("infer") - infer_ns))
        clock.record("end_to_end", whole_ns)
        capture.published()
        end_s = time.perf_counter()
        frames += 1
        hands += len(poses)
