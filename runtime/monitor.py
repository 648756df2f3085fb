"""What runs beside the main loop: temperature watch, telemetry, preview, and the current configuration, which a reload can change."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from handmap.engines.engine import Engines
from handmap.recording.cameras import Camera, Numbered, Rated
from handmap.system.notify import Notifier
from handmap.system.timing import StageClock

from .flight.model import Model, config_text, tracker_sections
from .flight.recorder import FlightRecorder
from .gpu_watch import GpuWatch
from .logs import start_logging
from .outlet import open_outlet
from .preview import Preview
from .publish import Publisher
from .quality import Quality
from .reload import Reload, reopening
from .settings import Settings
from .snapshot import Sources
from .state import DaemonStatus
from .stats import StatsLog
from .telemetry import Telemetry
from .thermal import Band, ThermalWatch

WARM = "the device is warm, so fewer frames are processed"


class Monitor:
    """Runs for the duration of a `with` block; everything but the threads it starts belongs to the main loop."""

    def __init__(
        self, settings: Settings, config: Path | None, status: DaemonStatus, clock: StageClock, notifier: Notifier
    ) -> None:
        self.settings = settings
        self.quality = Quality()
        self.stats = StatsLog(clock, settings.log.stats_interval_s, self.quality)
        self.reload = Reload(config, notifier)
        self._status = status
        self._thermal = ThermalWatch(settings.thermal, self._enter_band)
        self.facts = Sources(status, clock, self.stats, self._thermal, self.reload, self.quality, config)
        self._gpu = GpuWatch()
        self.facts.gpu_memory = self._gpu.read
        self.flight = FlightRecorder(settings.flight_recorder, self.model, lambda: status.is_stalled)
        self.flight.use(settings.flight_recorder, config_text(settings))
        status.on_change = self.flight.changed
        self.facts.flight = lambda: self.flight.facts if self.settings.flight_recorder.enabled else None
        self.facts.ask_snapshot = self.flight.request
        self._telemetry = Telemetry(settings.telemetry.port, self.facts)
        self.preview = self.facts.preview = Preview(settings.preview)
        self._publisher: Publisher | None = None
        self._open = ExitStack()

    def watch(self, publisher: Publisher) -> "Monitor":
        """Monitors this publisher."""
        self._publisher = publisher
        self.preview.follow(publisher.outlet)
        self.facts.targets = lambda: publisher.targets
        self.facts.control = lambda: publisher.control
        publisher.ask_snapshot = self.flight.request
        return self

    def saw_camera(self, camera: Camera) -> None:
        """Records which camera was opened."""
        self.facts.camera = camera.name
        asked_hz = camera.rate_hz if isinstance(camera, Rated) else None
        self.facts.asked_rate_hz = None if asked_hz is None else round(asked_hz, 3)
        if self._publisher is not None:
            self._publisher.identify_camera(camera.name, camera.serial if isinstance(camera, Numbered) else None)

    def saw_engines(self, engines: Engines, backend: str) -> None:
        """Records which engines were opened."""
        self.facts.engine = backend
        self._gpu.watch(engines.hand)

    def without_engines(self) -> None:
        """Leaves the GPU alone while engines are opened on it."""
        self._gpu.watch(None)

    def __enter__(self) -> "Monitor":
        for part in (self.flight, self._thermal, self.reload, self._telemetry, self.preview):
            self._open.enter_context(part)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def lets_through(self) -> bool:
        """Whether to process the frame that arrived: not all are while the device is warm."""
        is_due = self._thermal.lets_through()
        self._status.counts.throttled += not is_due
        return is_due

    def beat(self) -> bool:
        """Reports that the loop is alive, and adopts a new configuration if there is one; returns whether there was.

        Raises Reopen if it needs another camera or engine.
        """
        self._status.advance()
        fresh = self.reload.take(self.settings)
        if fresh is None:
            return False
        needed = reopening(self.settings, fresh)
        self._adopt(fresh)
        if needed is not None:
            raise needed
        return True

    def roll_back(self, error: Exception) -> bool:
        """Returns to the configuration before the pending one, which failed with this error; False if none is pending."""
        before = self.reload.roll_back(error)
        if before is not None:
            self._adopt(before)
        return before is not None

    def _adopt(self, settings: Settings) -> None:
        """Applies these settings to everything that keeps running; camera and engines use them when next opened."""
        old, self.settings = self.settings, settings
        if settings.publish != old.publish and self._publisher is not None:
            self._publisher.configure(open_outlet(settings.publish))
            self.preview.follow(self._publisher.outlet)
        if settings.log != old.log:
            start_logging(settings.log)
            self.stats.configure(settings.log.stats_interval_s)
        if settings.thermal != old.thermal:
            self._thermal.configure(settings.thermal)
        self.flight.use(settings.flight_recorder, config_text(settings))
        if settings.telemetry != old.telemetry:
            self._telemetry.configure(settings.telemetry.port)
        if settings.preview != old.preview:
            self.preview.configure(settings.preview)

    def model(self) -> Model:
        """What decides about joints beyond frames, now."""
        return Model(self.facts.bundle, self.facts.precision, tracker_sections(self.settings))

    def _enter_band(self, band: Band) -> None:
        self._status.limited_by = "" if band is Band.COOL else WARM
