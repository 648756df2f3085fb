"""What a configuration opens for the main loop: bundle, camera, engines. Each is opened when missing, and closed on failure."""

import gc
import logging
from dataclasses import dataclass, replace
from typing import Final

from handmap.bundle.manifest import Bundle, read_bundle
from handmap.engines.engine import Engines
from handmap.protocol.fields import Precision
from handmap.recording.cameras import Camera, CameraSource
from handmap.tracking.tracker import TrackerState
from handmap.tracking.tracker_settings import TrackerSettings, tracker_settings
from handmap.types.errors import BundleError, EngineFailed
from handmap.types.values import DepthFrame

from .cameras.late import LateCamera
from .capture import Capture
from .engine_loader import CacheWatch, open_or_await
from .faults.camera import source_and_faults
from .faults.fault_injection import faulty_engines, raise_socket_fault
from .faults.fault_schedule import FaultSchedule
from .flight.model import Resuming, note_other_model
from .monitor import Monitor
from .publish import ModelFacts, Publisher
from .reload import Reopen
from .retry import RestartRequired
from .settings import Settings
from .state import DaemonStatus

LOG = logging.getLogger("handmap.daemon")

MAX_HUNG: Final = 1  # threads that may be abandoned in a camera call


@dataclass(frozen=True)
class Opened:
    """What a frame passes through: the capture thread, the engines, and the tracker's settings."""

    bundle: Bundle
    capture: Capture
    engines: Engines
    tracker: TrackerSettings


class Pipeline:
    """Bundle, camera and engines of the current configuration. Belongs to the main loop.

    opened is None while any of them is closed.
    """

    def __init__(self, status: DaemonStatus, monitor: Monitor, source: CameraSource, faults: FaultSchedule) -> None:
        self.opened: Opened | None = None
        self._status = status
        self._monitor = monitor
        self._bundle: Bundle | None = None
        self._capture: Capture | None = None
        self._engines: Engines | None = None
        self._awaited: CacheWatch | None = None  # set while the fallback engines run
        self._source: CameraSource | None = source
        self._faults = faults
        self._resuming: Resuming | None = None  # a camera that replays a snapshot

    def open(self, publisher: Publisher) -> Opened:
        """Opens whatever is closed. Engines outlive a lost camera, and the camera keeps running while engines are opened.

        Raises EngineFailed, RestartRequired, or Fatal if only a person can help.
        """
        self._bundle = self._bundle or self._read_bundle(publisher)
        if self._source is None:
            self._source, self._faults = source_and_faults(self._settings.camera)
        self._capture = self._capture or self._start_capture(self._source)
        self._engines = self._engines or self._open_engines(self._bundle)
        self.opened = Opened(self._bundle, self._capture, self._engines, self._tracker_settings(self._bundle))
        if not gc.get_freeze_count():
            # Objects that exist by now live to the end; a full garbage collection over them would take as long as two frames.
            gc.collect()
            gc.freeze()
        return self.opened

    def retune(self) -> None:
        """Applies the tracker settings of a configuration that needs nothing reopened."""
        if self.opened is not None:
            self.opened = replace(self.opened, tracker=self._tracker_settings(self.opened.bundle))

    def state_before(self, frame: DepthFrame, state: TrackerState) -> TrackerState:
        """The state in which the work on this frame begins: that of a snapshot being replayed where it holds one, else the one given."""
        recorded = None if self._resuming is None else self._resuming.state_before(frame)
        return state if recorded is None else recorded

    def refuse_outdated(self) -> None:
        """Raises Reopen once the engine that the fallback replaces has been built."""
        if self._awaited is not None and self._awaited.has_changed():
            raise Reopen(engines=True)

    def reconfigure(self, has_other_engines: bool) -> None:
        """Closes what a new configuration opens differently; `open` reopens it with the current settings."""
        self._bundle = self._source = None
        self.close_camera()
        if has_other_engines:
            self.close_engines()

    def close_camera(self) -> None:
        """Ends the capture thread, which closes the camera."""
        self.opened = None
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.close()

    def close_engines(self) -> None:
        """Closes the engines; if that fails, their resources are freed when the process ends at the latest."""
        self.opened = None
        engines, self._engines = self._engines, None
        self._monitor.without_engines()
        if engines is None:
            return
        try:
            engines.close()
        except EngineFailed as error:
            LOG.warning("engine closing=%r", str(error))

    def raise_socket_fault(self) -> None:
        """Raises the OSError of a socket if a faulty camera's schedule calls for it."""
        raise_socket_fault(self._faults)

    @property
    def _settings(self) -> Settings:
        return self._monitor.settings

    def _tracker_settings(self, bundle: Bundle) -> TrackerSettings:
        settings = self._settings
        return tracker_settings(bundle, settings.tracking, settings.smoothing, settings.skeleton)

    def _read_bundle(self, publisher: Publisher) -> Bundle:
        bundle = read_bundle(self._settings.bundle)
        precision = self._settings.engine.precision
        publisher.identify(ModelFacts(bundle.id, bundle.path.name, Precision[precision.upper()]))
        self._monitor.facts.bundle, self._monitor.facts.precision = bundle.id.hex(), precision
        return bundle

    def _start_capture(self, source: CameraSource) -> Capture:
        counts = self._status.counts
        if counts.hung > MAX_HUNG:
            raise RestartRequired(
                f"camera: {counts.hung} calls did not return, wanted at most {MAX_HUNG}; restart the daemon, "
                "and unplug the camera if that does not help"
            )
        capture = Capture(LateCamera(source.open, self._on_open), counts, source.is_real_time, source.pace)
        capture.start()
        return capture

    def _on_open(self, camera: Camera) -> None:
        self._status.counts.camera_openings += 1
        self._monitor.saw_camera(camera)
        self._resuming = camera if isinstance(camera, Resuming) else None
        if self._resuming is not None and self._bundle is not None:
            note_other_model(self._resuming, self._monitor.model())
        LOG.info("camera=%r opened", camera.name)

    def _open_engines(self, bundle: Bundle) -> Engines:
        counts = self._status.counts
        is_pending = self._monitor.reload.is_pending
        try:
            watch = CacheWatch(self._settings.engine)
            opened = open_or_await(bundle, self._settings.engine, self._settings.tracking.max_hands, not is_pending)
        except BundleError as error:
            if not counts.engine_openings or is_pending:
                raise
            raise EngineFailed(f"engine: it worked before but no longer does: {error}") from error
        counts.engine_openings += 1
        self._status.fallback_reason = opened.fallback_reason
        self._monitor.saw_engines(opened.engines, opened.backend)
        self._awaited = watch if opened.fallback_reason else None
        return opened.engines if self._faults.is_empty else faulty_engines(opened.engines, self._faults)
