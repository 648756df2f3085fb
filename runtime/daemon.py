"""The daemon: wait for the newest frame, track the hands in it, publish them. No arithmetic lives here."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from handmap.protocol.fields import DaemonState
from handmap.system.notify import open_notifier
from handmap.system.timing import StageClock
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.types.errors import CameraLost, EngineFailed, Fatal, Transient
from handmap.types.values import DepthFrame

from .capture import Capture
from .engine_loader import EngineNotReady
from .faults.camera import source_and_faults
from .flight.ring import Seen
from .heartbeat import Heartbeat
from .monitor import Monitor
from .pipeline import Opened, Pipeline
from .publish import Publisher, open_publisher
from .reload import Reopen
from .retry import Backoff, RestartRequired, StopFlag
from .settings import Settings
from .side_watch import SideWatch
from .state import Counts, DaemonStatus

WAIT_S: Final = 0.2  # longest wait for a frame before the loop checks whether to stop
CAMERA_GRACE_S: Final = (
    1.0  # without a frame for this long the state is NO_CAMERA, or DEGRADED if frames arrive but are refused
)
MAX_ENGINE_FAILURES: Final = 5  # in a row with no frame in between: a CUDA error has poisoned the process
SWITCH_S: Final = (
    0.0005  # longest time one thread holds the interpreter lock; Python's default of 5 ms is a third of a frame
)
# Time budget of each stage at 60 frames per second on a board; overruns are counted.
BUDGETS_MS: Final = {
    "locate": 4.0, "crop": 3.0, "infer": 8.0, "decode": 1.0, "skeleton": 2.0, "publish": 0.7, "total": 16.7
}  # fmt: skip
AGE_BUDGET_MS: Final = 100.0  # from capture to publication


class Daemon:
    """One configured daemon, from its first heartbeat to its last; a signal handler can set `stop`.

    config is the file to reload on `request_reload`, which a signal handler can call too, as it can `request_snapshot`.
    """

    def __init__(self, settings: Settings, stop: StopFlag, config: Path | None = None) -> None:
        self._stop = stop
        self._notifier = open_notifier()
        self._status = DaemonStatus(self._notifier)
        source, faults = source_and_faults(settings.camera)
        budgets_ms = BUDGETS_MS | ({"age": AGE_BUDGET_MS} if source.is_real_time else {})
        self._clock = StageClock(budgets_ms=budgets_ms)
        self._monitor = Monitor(settings, config, self._status, self._clock, self._notifier)
        self._pipeline = Pipeline(self._status, self._monitor, source, faults)
        self._tracker = TrackerState()
        self._side_watch = SideWatch()
        self._backoff = Backoff()
        self._pause_s = 0.0
        self._last_frame_s = 0.0
        self._engine_failures = 0
        self._has_ended = False
        self.request_reload = self._monitor.reload.request
        self.request_snapshot = self._monitor.flight.request

    @property
    def counts(self) -> Counts:
        """Totals since the start."""
        return self._status.counts

    def run(self) -> None:
        """Runs the main loop until the recording ends or stop is set.

        Raises Fatal if only a person can help, RestartRequired if a new process can.
        """
        sys.setswitchinterval(SWITCH_S)
        publisher = open_publisher(self._monitor.settings.publish, self._pipeline.raise_socket_fault)
        self._monitor.watch(publisher)
        try:
            with Heartbeat(publisher, self._status, self._notifier), self._monitor:
                while not (self._stop.is_set or self._has_ended):
                    self._serve_next(publisher)
        finally:
            self._pipeline.close_camera()
            self._pipeline.close_engines()
            self._status.enter(DaemonState.STOPPING)
            publisher.heartbeat(self._status)
            publisher.close()

    def _serve_next(self, publisher: Publisher) -> None:
        """Waits for the next frame and processes it; a component that fails is closed and reopened after a pause."""
        try:
            self._pause()
            if self._stop.is_set:
                return
            opened = self._pipeline.opened or self._open(publisher)
            self._pipeline.refuse_outdated()
            frame = opened.capture.wait_newest(WAIT_S)
            if frame is None:
                self._miss_frame(opened.capture)
            else:
                self._serve(frame, opened, publisher)
        except Reopen as wanted:
            self._pipeline.reconfigure(wanted.engines)
        except CameraLost as error:
            self._lose_hands()
            self._pipeline.close_camera()
            self._retry(error, DaemonState.NO_CAMERA)
        except EngineFailed as error:
            self._pipeline.close_engines()
            self._fail_engine(error)
        except (Fatal, RestartRequired, ModuleNotFoundError) as error:
            self._roll_back(error)

    def _pause(self) -> None:
        pause_s, self._pause_s = self._pause_s, 0.0
        self._stop.wait(pause_s, self._beat)
        self._beat()

    def _beat(self) -> None:
        """Reports that the loop is alive, and applies a new configuration if there is one."""
        if self._monitor.beat():
            self._pipeline.retune()

    def _open(self, publisher: Publisher) -> Opened:
        self._backoff.begin()
        opened = self._pipeline.open(publisher)
        self._lose_hands()
        self._last_frame_s = time.monotonic()
        return opened

    def _serve(self, frame: DepthFrame, opened: Opened, publisher: Publisher) -> None:
        self._last_frame_s = time.monotonic()
        try:
            if self._monitor.lets_through():
                self._track(frame, opened, publisher)
        finally:
            opened.capture.published()

    def _track(self, frame: DepthFrame, opened: Opened, publisher: Publisher) -> None:
        before = self._tracker = self._pipeline.state_before(frame, self._tracker)
        publisher.packets, publish_ns = (), 0
        try:
            publish_ns = self._work(frame, opened, publisher)
        finally:
            # Its image on the GPU may be one of the few buffers of the camera's SDK, which must not wait with it.
            kept = replace(frame, on_gpu=None)
            self._monitor.flight.saw(Seen(kept, before, self._tracker, publisher.packets, publish_ns))

    def _work(self, frame: DepthFrame, opened: Opened, publisher: Publisher) -> int:
        """Tracks and publishes; returns when, 0 for a frame that came too late."""
        status, clock = self._status, self._clock
        with clock.stage("total"):
            poses, self._tracker = track_hands(frame, self._tracker, opened.engines, opened.tracker, clock)
            self._side_watch.see(opened.tracker.handedness, self._tracker.tracks.active, frame.capture_ns)
            status.warning, status.bodies = self._side_watch.warning, self._tracker.fitted.bodies
            if opened.capture.is_outdated(frame):
                status.enter(DaemonState.DEGRADED, "frames are too old once they are processed")
                return 0
            status.saw(frame, len(poses))
            with clock.stage("publish"):
                publish_ns = publisher.publish(frame, poses, status)
        clock.record("age", publish_ns - frame.capture_ns)
        self._monitor.preview.offer(frame, poses, self._tracker.tracks.proposals, status, clock)
        self._engine_failures = 0
        self._monitor.reload.confirm()
        status.counts.late = clock.over_budget.get("age", 0)
        self._monitor.quality.see(frame, poses, status.bodies)
        self._monitor.stats.count(status.counts, publisher.errors)
        return publish_ns

    def _miss_frame(self, capture: Capture) -> None:
        self._has_ended = capture.has_ended
        if self._has_ended or time.monotonic() - self._last_frame_s <= CAMERA_GRACE_S:
            return
        self._lose_hands()
        if capture.is_refusing:
            self._status.enter(DaemonState.DEGRADED, "the camera's frames are repeated or stale")
        else:
            self._status.enter(DaemonState.NO_CAMERA, "no frame arrives")

    def _lose_hands(self) -> None:
        self._tracker = self._tracker.without_hands()
        self._monitor.quality.forget()

    def _retry(self, error: Transient, state: DaemonState) -> None:
        self._status.enter(state, str(error))
        self._pause_s = self._backoff.fail(error)

    def _fail_engine(self, error: EngineFailed) -> None:
        is_failure = not isinstance(error, EngineNotReady)  # building one can take minutes
        self._engine_failures += is_failure
        if is_failure and self._engine_failures >= MAX_ENGINE_FAILURES:
            self._roll_back(
                RestartRequired(
                    f"engine: failed {self._engine_failures} times in a row, most recently with: {error}; restart the daemon"
                )
            )
        else:
            self._retry(error, DaemonState.DEGRADED)

    def _roll_back(self, error: Exception) -> None:
        """Returns to the configuration before the pending one, which failed; raises the error if none is pending."""
        if not self._monitor.roll_back(error):
            raise error
        self._pipeline.reconfigure(has_other_engines=True)
