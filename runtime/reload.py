"""SIGHUP: reloads and checks the configuration in its own thread; hands it to the main loop, or refuses it and keeps the old one.

The checks are those of `handmap run --validate`: everything that can be known without opening camera and engine.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final

from handmap.bundle.manifest import Bundle, read_bundle
from handmap.engines.factory import refuse_ungated
from handmap.recording.cameras import Checked
from handmap.system.notify import Notifier
from handmap.tracking.tracker_settings import tracker_settings
from handmap.types.errors import Fatal, HandmapError

from .faults.camera import FaultyConfig
from .outlet import open_outlet
from .settings import Settings, read_settings

LOG = logging.getLogger("handmap.reload")

JOIN_S: Final = 0.3
LIVE: Final = {
    "tracking",
    "skeleton",
    "smoothing",
    "publish",
    "thermal",
    "telemetry",
    "preview",
    "log",
    "flight_recorder",
}  # applied while camera and engines keep running


class Reopen(Exception):
    """The new configuration needs another camera, or with `engines` other engines: unwinds to where they are opened."""

    def __init__(self, engines: bool) -> None:
        super().__init__()
        self.engines = engines


def check_settings(settings: Settings) -> Bundle:
    """Checks that everything the configuration names looks usable, and returns the bundle.

    Raises Fatal that states what is wrong.
    """
    bundle = read_bundle(settings.bundle)
    bundle.graph_path("hand", settings.engine.precision)
    if settings.engine.precision == "int8" and not settings.engine.use_ungated_int8:
        refuse_ungated(bundle)
    tracker_settings(bundle, settings.tracking)
    if isinstance(settings.camera, Checked):
        settings.camera.check()
    open_outlet(settings.publish).close()
    return bundle


def changed_sections(old: Settings, new: Settings) -> set[str]:
    """Names of the sections that differ."""
    return {name for name in Settings.__struct_fields__ if getattr(old, name) != getattr(new, name)}


def reopening(old: Settings, new: Settings) -> Reopen | None:
    """What the change from old to new needs reopened, or None if all of it can be applied while running."""
    changed = changed_sections(old, new)
    # max_hands sets the engines' batch; another handedness restarts tracking; a schedule of faults wraps the engines.
    of_engines = (old.tracking.max_hands, old.tracking.handedness) != (new.tracking.max_hands, new.tracking.handedness)
    of_engines = of_engines or isinstance(old.camera, FaultyConfig) or isinstance(new.camera, FaultyConfig)
    if of_engines or changed - LIVE - {"camera"}:
        return Reopen(engines=True)
    return Reopen(engines=False) if "camera" in changed else None


class Reload:
    """Waits for requests for the duration of a `with` block. The main loop takes what was read, and reports whether it worked.

    Until `confirm`, a configuration that was taken is pending: `roll_back` returns the one before.
    """

    def __init__(
        self, path: Path | None, notifier: Notifier, check: Callable[[Settings], object] = check_settings
    ) -> None:
        self._path = path
        self._notifier = notifier
        self._check = check
        # Unlike an Event, a SimpleQueue can be used in a signal handler: it is reentrant.
        self._requests: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._fresh: Settings | None = None
        self._before: Settings | None = None
        self.taken = 0
        self.refused = 0
        self.refusal = ""
        self._thread = threading.Thread(target=self._answer, name="reload", daemon=True)

    def __enter__(self) -> "Reload":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._requests.put(False)
        self._thread.join(JOIN_S)

    @property
    def is_pending(self) -> bool:
        """Whether no frame has been processed with the current configuration yet."""
        return self._before is not None

    def request(self) -> None:
        """Requests a reload of the file; safe in a signal handler."""
        self._requests.put(True)

    def take(self, current: Settings) -> Settings | None:
        """The new configuration, if one was read since the last call; it is pending from then on, and current is kept."""
        fresh, self._fresh = self._fresh, None
        if fresh is None:
            return None
        changed = sorted(changed_sections(current, fresh))
        self._before = (self._before or current) if changed else self._before
        self.taken += 1
        self.refusal = ""
        LOG.info("configuration=taken changed=%s", ",".join(changed) or "nothing")
        self._notifier.send("READY=1", "STATUS=configuration reloaded")
        return fresh

    def confirm(self) -> None:
        """Reports that a frame was processed: the configuration works."""
        self._before = None

    def roll_back(self, error: Exception) -> Settings | None:
        """The configuration before the pending one, which failed with this error; None if none is pending."""
        before, self._before = self._before, None
        if before is not None:
            self._refuse(str(error))
        return before

    def _answer(self) -> None:
        while self._requests.get():
            self._notifier.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            try:
                self._fresh = self._read()
            except HandmapError as error:
                self._refuse(str(error))
            except Exception as error:  # noqa: BLE001  whatever is wrong with a file, the daemon runs on with the old one
                self._refuse(f"{type(error).__name__}: {error}")

    def _read(self) -> Settings:
        if self._path is None:
            raise Fatal("the daemon was started without a configuration file; start it with: handmap run --config PATH")
        settings = read_settings(self._path)
        self._check(settings)
        return settings

    def _refuse(self, sentence: str) -> None:
        sentence = " ".join(
            sentence.split()
        )  # several faults have a line each; a message to systemd ends with its line
        self.refused += 1
        self.refusal = sentence
        LOG.error("configuration=kept refused=%r", sentence)
        self._notifier.send("READY=1", f"STATUS=old configuration kept: {sentence}")
