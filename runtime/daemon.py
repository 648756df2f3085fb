"""The daemon: wait for the newest frame, follow the hands in it, publish them. No arithmetic lives here."""

import gc
import logging
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from handmap.bundle.manifest import Bundle, read_bundle
from handmap.engines.engine import Engines
from handmap.protocol.fields import DaemonState, Precision
from handmap.system.notify import Notifier, open_notifier
from handmap.system.timing import StageClock
from handmap.tracking.follow import FollowSettings, follow, follow_settings
from handmap.tracking.smooth import NO_FILTERS, extrapolate, smooth
from handmap.tracking.track import NO_TRACKS, Tracks
from handmap.types.errors import BundleError, CameraLost, EngineFailed, Fatal, Transient
from handmap.types.values import DepthFrame

from .cameras.camera import Camera
from .cameras.opening import LateCamera, camera_opener, fault_schedule, is_real_time
from .capture import Capture
from .engine_opening import CacheWatch, EngineAwaited, open_or_await
from .faults.injection import FaultySender, faulty_engines
from .heartbeat import Heartbeat
from .oversight import Oversight
from .publish import Publisher, Sender, open_publisher
from .reload import Reopen
from .settings import Settings
from .state import Counts, DaemonStatus
from .supervise import ProcessSpent, StopFlag, keep_trying

LOG = logging.getLogger("handmap.daemon")

WAIT_S: Final = 0.2  # longest wait for a frame before the loop looks whether it shall stop
CAMERA_GRACE_S: Final = 1.0  # without a frame for so long the state is NO_CAMERA, with refused ones DEGRADED
ENGINE_FAILURES: Final = 5  # in a row, with no frame worked on between: a CUDA error has poisoned the process
SWITCH_S: Final = 0.0005  # the longest that one thread keeps the others waiting; 5 ms by default, a third of a frame
MOST_HUNG: Final = 1  # threads that may be left behind in a call of the camera
# What each stage may take at 60 frames a second on a board; more is counted.
BUDGETS_MS: Final = {"locate": 4.0, "crop": 3.0, "infer": 8.0, "decode": 1.0, "publish": 0.7, "total": 16.7}
AGE_BUDGET_MS: Final = 100.0  # from a frame's capture to its publication


class Daemon:
    """One configured daemon, from its first heartbeat to its last; `stop` may be set by a signal handler.

    config is the file that is read again on `request_reload`, which a signal handler may call too.
    """

    def __init__(self, settings: Settings, stop: StopFlag, config: Path | None = None) -> None:
        self._stop = stop
        self._engines: Engines | None = None
        self._awaited: CacheWatch | None = None  # there while the engines are those of the fall-back
        self._engine_failures = 0
        self._tracks = NO_TRACKS
        self._filters = NO_FILTERS
        self._notifier: Notifier = open_notifier()
        self._status = DaemonStatus(self._notifier)
        self._clock = StageClock(
            budgets_ms=BUDGETS_MS | ({"age": AGE_BUDGET_MS} if is_real_time(settings.camera) else {})
        )
        self._oversight = Oversight(settings, config, self._status, self._clock, self._notifier)
        self.request_reload = self._oversight.reload.request
        self._use_camera()

    @property
    def counts(self) -> Counts:
        """What was counted since the start."""
        return self._status.counts

    def run(self) -> None:
        """Returns when the recording has ended or stop was set.

        Raises Fatal if nothing but a person can help, ProcessSpent if a new process can.
        """
        sys.setswitchinterval(SWITCH_S)
        publisher = open_publisher(self._settings.publish, self._wrap_sender)
        self._oversight.watch(publisher, self._wrap_sender)
        try:
            with Heartbeat(publisher, self._status, self._notifier), self._oversight:
                self._run_on(publisher)
        finally:
            self._close_engines()
            self._status.enter(DaemonState.STOPPING)
            publisher.heartbeat(self._status)
            publisher.close()

    def _run_on(self, publisher: Publisher) -> None:
        """Runs through every change of the configuration, and goes back to the one before where the new one fails."""
        while True:
            try:
                bundle = read_bundle(self._settings.bundle)
                publisher.identify(bundle.id, Precision[self._settings.engine.precision.upper()])
                facts = self._oversight.facts
                facts.bundle, facts.precision = bundle.id.hex(), self._settings.engine.precision
                self._try(partial(self._with_camera, bundle, publisher), CameraLost, DaemonState.NO_CAMERA)
                return
            except Reopen as wanted:
                has_other_engines = wanted.engines
            except (Fatal, ProcessSpent, ModuleNotFoundError) as error:
                if not self._oversight.back_out(error):
                    raise
                has_other_engines = True
            if has_other_engines:
                self._close_engines()
            self._use_camera()

    @property
    def _settings(self) -> Settings:
        return self._oversight.settings

    def _use_camera(self) -> None:
        config = self._settings.camera
        self._faults = fault_schedule(config)
        self._open_camera = camera_opener(config, self._faults)
        self._is_real_time = is_real_time(config)

    def _with_camera(self, bundle: Bundle, publisher: Publisher) -> None:
        """Opens the camera, and serves until it is lost; engines are opened meanwhile, and outlive it."""
        counts = self._status.counts
        if counts.hung > MOST_HUNG:
            raise ProcessSpent(
                f"camera: {counts.hung} calls did not come back, wanted at most {MOST_HUNG}; start the daemon afresh, "
                "and unplug the camera if that does not help"
            )
        camera = LateCamera(self._open_camera, self._opened)
        with Capture(camera, counts, self._is_real_time) as capture:
            self._try(partial(self._with_engines, bundle, capture, publisher), EngineFailed, DaemonState.DEGRADED)

    def _opened(self, camera: Camera) -> None:
        self._status.counts.camera_openings += 1
        self._oversight.facts.camera = camera.name
        LOG.info("camera=%r opened", camera.name)

    def _with_engines(self, bundle: Bundle, capture: Capture, publisher: Publisher) -> None:
        """Serves with engines that are opened anew after each failure, while the camera runs on."""
        try:
            self._engines = self._engines or self._open_engines(bundle)
            self._track(capture, bundle, self._engines, publisher)
        except EngineAwaited:  # no failure: it may take minutes to build
            raise
        except EngineFailed as error:
            self._close_engines()
            self._engine_failures += 1
            if self._engine_failures >= ENGINE_FAILURES:
                raise ProcessSpent(
                    f"engine: failed {self._engine_failures} times in a row, the last time so: {error}; start the daemon afresh"
                ) from error
            raise

    def _open_engines(self, bundle: Bundle) -> Engines:
        counts = self._status.counts
        try:
            watch = CacheWatch(self._settings.engine)
            opened = open_or_await(
                bundle, self._settings.engine, self._settings.tracking.max_hands, not self._oversight.reload.is_on_trial
            )
        except BundleError as error:
            if not counts.engine_openings or self._oversight.reload.is_on_trial:
                raise
            raise EngineFailed(f"engine: it worked before and is off now: {error}") from error
        counts.engine_openings += 1
        self._status.shortfall = opened.shortfall
        self._awaited = watch if opened.shortfall else None
        return opened.engines if self._faults.is_empty else faulty_engines(opened.engines, self._faults)

    def _wrap_sender(self, sender: Sender) -> Sender:
        return sender if self._faults.is_empty else FaultySender(sender, self._faults)

    def _close_engines(self) -> None:
        engines, self._engines = self._engines, None
        if engines is None:
            return
        try:
            engines.close()
        except EngineFailed as error:  # what it held goes with the process at the latest
            LOG.warning("engine closing=%r", str(error))

    def _track(self, capture: Capture, bundle: Bundle, engines: Engines, publisher: Publisher) -> None:
        """The loop."""
        if not gc.get_freeze_count():
            # What is there by now stays to the end; looking through all of it for garbage takes two frames' time.
            gc.collect()
            gc.freeze()
        self._forget()
        lens = None
        last_frame_s = time.monotonic()
        while not self._stop.is_set:
            self._oversight.beat()
            if self._awaited is not None and self._awaited.has_news():
                raise Reopen(engines=True)
            settings = follow_settings(bundle, self._settings.tracking)  # microseconds; a reload may have changed it
            frame = capture.wait_newest(WAIT_S)
            if frame is None:
                if capture.has_ended:
                    return
                if time.monotonic() - last_frame_s > CAMERA_GRACE_S:
                    self._miss_frames(capture)
                continue
            last_frame_s = time.monotonic()
            if not self._oversight.lets_through():
                capture.published()
                continue
            if frame.intrinsics != lens:  # where a hand was by another lens says nothing of where it is
                self._forget()
                lens = frame.intrinsics
            try:
                self._serve(frame, engines, settings, publisher)
            finally:
                capture.published()

    def _serve(self, frame: DepthFrame, engines: Engines, settings: FollowSettings, publisher: Publisher) -> None:
        status, clock = self._status, self._clock
        with clock.stage("total"):
            poses, self._tracks = follow(frame, self._tracks, engines, settings, clock)
            smoothing = self._settings.smoothing
            poses, self._filters = smooth(poses, self._filters, smoothing)
            status.saw(frame, len(poses))
            with clock.stage("publish"):
                shown = extrapolate(poses, self._filters, time.monotonic_ns(), smoothing)
                publish_ns = publisher.publish(frame, shown, status)
        clock.record("age", publish_ns - frame.capture_ns)
        self._engine_failures = 0
        self._oversight.reload.settle()
        status.counts.late = clock.over_budget.get("age", 0)
        self._oversight.stats.count(len(poses), status.counts, publisher.errors)

    def _forget(self) -> None:
        """Drops all tracks; a hand that is found again gets an id that was never used."""
        self._tracks = Tracks((), self._tracks.next_id)
        self._filters = NO_FILTERS

    def _miss_frames(self, capture: Capture) -> None:
        self._forget()
        if capture.is_refusing:
            self._status.enter(DaemonState.DEGRADED, "the camera's frames repeat or are not of now")
        else:
            self._status.enter(DaemonState.NO_CAMERA, "no frame comes")

    def _try(self, attempt: Callable[[], None], kind: type[Transient], state: DaemonState) -> None:
        keep_trying(
            attempt, kind, lambda error: self._status.enter(state, str(error)), self._stop, self._oversight.beat
        )
