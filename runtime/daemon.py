"""The daemon: wait for the newest frame, follow the hands in it, publish them. No arithmetic lives here."""

import logging
import time
from collections.abc import Callable
from typing import Final

from handmap.bundle import Bundle, read_bundle, read_golden
from handmap.engine import Engines
from handmap.engines import check_golden, open_engines
from handmap.errors import CameraLost, EngineFailed, NetworkUnavailable, Transient
from handmap.follow import follow, follow_settings
from handmap.notify import Notifier, open_notifier
from handmap.packet_fields import DaemonState, Precision
from handmap.timing import StageClock
from handmap.track import NO_TRACKS

from .camera import open_camera
from .capture import Capture
from .heartbeat import Heartbeat
from .publish import Publisher, open_publisher
from .settings import Settings
from .state import DaemonStatus
from .stats import StatsLog
from .supervise import StopFlag, keep_trying

LOG = logging.getLogger("handmap.daemon")

WAIT_S: Final = 0.2  # longest wait for a frame before the loop looks whether it shall stop
CAMERA_GRACE_S: Final = 1.0  # without a frame for so long the state is NO_CAMERA

OpenEngines = Callable[[Bundle, Settings], Engines]


def open_checked_engines(bundle: Bundle, settings: Settings) -> Engines:
    """The configured engines, proven on the bundle's golden samples."""
    engines = open_engines(bundle, settings.engine, settings.tracking.max_hands)
    distance_mm = check_golden(engines.hand, read_golden(bundle), bundle)
    LOG.info("engine=%s precision=%s golden_mm=%.4f", settings.engine.backend, settings.engine.precision, distance_mm)
    return engines


class Daemon:
    """One configured daemon, from its first heartbeat to its last; `stop` may be set by a signal handler."""

    def __init__(self, settings: Settings, stop: StopFlag, engines_opener: OpenEngines = open_checked_engines) -> None:
        self._settings = settings
        self._stop = stop
        self._open_engines = engines_opener
        self._notifier: Notifier = open_notifier()
        self._status = DaemonStatus(self._notifier)
        self._clock = StageClock()
        self._stats = StatsLog(self._clock, settings.log.stats_s)

    def run(self) -> None:
        """Returns when the recording has ended or stop was set.

        Raises Fatal if nothing but a person can help.
        """
        keep_trying(self._serve, NetworkUnavailable, self._no_network, self._stop, self._status.advance)

    def _serve(self) -> None:
        publisher = open_publisher(self._settings.publish)
        try:
            with Heartbeat(publisher, self._status, self._notifier):
                bundle = read_bundle(self._settings.bundle)
                publisher.identify(bundle.id, Precision[self._settings.engine.precision.upper()])
                self._try(lambda: self._with_engines(bundle, publisher), EngineFailed, DaemonState.DEGRADED)
        finally:
            self._status.enter(DaemonState.STOPPING)
            publisher.heartbeat(self._status)
            publisher.close()

    def _with_engines(self, bundle: Bundle, publisher: Publisher) -> None:
        engines = self._open_engines(bundle, self._settings)
        try:
            self._try(lambda: self._with_camera(bundle, engines, publisher), CameraLost, DaemonState.NO_CAMERA)
        finally:
            engines.close()

    def _with_camera(self, bundle: Bundle, engines: Engines, publisher: Publisher) -> None:
        camera = open_camera(self._settings.camera)
        LOG.info("camera=%r opened", camera.name)
        with Capture(camera) as capture:
            self._track(capture, bundle, engines, publisher)

    def _track(self, capture: Capture, bundle: Bundle, engines: Engines, publisher: Publisher) -> None:
        """The loop."""
        settings = follow_settings(bundle, self._settings.tracking)
        status, clock = self._status, self._clock
        tracks = NO_TRACKS
        last_frame_s = time.monotonic()
        while not self._stop.is_set:
            status.advance()
            frame = capture.wait_newest(WAIT_S)
            if frame is None:
                if capture.has_ended:
                    return
                if time.monotonic() - last_frame_s > CAMERA_GRACE_S:
                    status.enter(DaemonState.NO_CAMERA, "no frame comes")
                continue
            last_frame_s = time.monotonic()
            with clock.stage("total"):
                poses, tracks = follow(frame, tracks, engines, settings, clock)
                status.saw(frame, len(poses))
                with clock.stage("publish"):
                    publish_ns = publisher.publish(frame, poses, status)
            clock.record("age", publish_ns - frame.capture_ns)
            capture.published()
            self._stats.count(len(poses), capture.dropped, publisher.errors)

    def _try(self, attempt: Callable[[], None], kind: type[Transient], state: DaemonState) -> None:
        keep_trying(
            attempt, kind, lambda error: self._status.enter(state, str(error)), self._stop, self._status.advance
        )

    def _no_network(self, error: Transient) -> None:
        self._status.enter(DaemonState.DEGRADED, str(error))
