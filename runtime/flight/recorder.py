"""The flight recorder: the main loop hands over what it saw, one thread compresses it, another writes snapshots. The loop never waits."""

import itertools
import logging
import os
import queue
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from handmap import __version__
from handmap.files.atomic import refuse_unwritable
from handmap.protocol.fields import DaemonState
from handmap.recording.flight_records import FORMAT, About, ConfigText, LogLine
from handmap.types.errors import HandmapError

from .config import FlightRecorderConfig, snapshots_folder
from .facts import FlightFacts, SnapshotOutcome
from .log_lines import LinesHandler
from .model import Model
from .ring import Ring, Seen
from .snapshots import Contents, sweep_snapshots, write_snapshot

LOG = logging.getLogger("handmap.flight")

MAX_PENDING: Final = 8  # frames that wait to be compressed; those that come meanwhile are skipped
MAX_LINES: Final = 500
MAX_CONFIGS: Final = 8
MAX_OUTCOMES: Final = 16
DEGRADED_EVERY_S: Final = 60.0
AFTER_S: Final = 2.0  # what follows a DEGRADED state is in its snapshot, too
POLL_S: Final = 0.5
JOIN_S: Final = 3.0  # of the unit's TimeoutStopSec
NICE: Final = 5  # the loop's work comes first
DEGRADED: Final = "degraded"
_NAMES: Final = re.compile(r"flight\S*|\d+")  # of snapshots, which differ in each message, and numbers


@dataclass(frozen=True)
class Request:
    """Somebody wants a snapshot, of what is in the ring at due_s, time.monotonic(); number 0: while nothing is recorded."""

    number: int
    trigger: str
    reason: str
    due_s: float


class FlightRecorder:
    """Records for the duration of a `with` block. Only the main loop calls `saw`; any thread and signal handlers call `request`."""

    def __init__(
        self, config: FlightRecorderConfig, model: Callable[[], Model], is_stalled: Callable[[], bool]
    ) -> None:
        self._config = config
        self._model = model
        self._is_stalled = is_stalled
        self._ring = Ring(config.seconds, config.memory_mb << 20)
        self._queue: queue.SimpleQueue[Seen | Request | FlightRecorderConfig | None] = queue.SimpleQueue()
        self._jobs: queue.SimpleQueue[tuple[int, Contents] | None] = queue.SimpleQueue()
        self._tickets = itertools.count(1)
        self._wanted: list[Request] = []
        self._degraded_s = float("-inf")
        self._was_stalled = False
        self._writing = threading.Event()
        self._configs: deque[ConfigText] = deque(maxlen=MAX_CONFIGS)
        self._lines: deque[LogLine] = deque(maxlen=MAX_LINES)
        self._lines_handler = LinesHandler(self._lines)
        self._skipped = self._asked = self._written = self._failed = 0
        self._newest = self._problem = ""
        self._outcomes: deque[SnapshotOutcome] = deque(maxlen=MAX_OUTCOMES)
        self._compressor = threading.Thread(target=self._compress, name="flight", daemon=True)
        self._writer = threading.Thread(target=self._write_all, name="flight-writer", daemon=True)

    def __enter__(self) -> "FlightRecorder":
        logging.getLogger("handmap").addHandler(self._lines_handler)
        self._compressor.start()
        self._writer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Writes what is still wanted, within the time that a daemon has to end."""
        logging.getLogger("handmap").removeHandler(self._lines_handler)
        self._queue.put(None)
        end_s = time.monotonic() + JOIN_S
        for thread in (self._compressor, self._writer):
            thread.join(max(end_s - time.monotonic(), 0))

    @property
    def facts(self) -> FlightFacts:
        """Its facts now."""
        ring = self._ring
        return FlightFacts(
            len(ring), round(max(ring.span_s, 0.0), 3), ring.bytes, self._skipped, self._asked, self._written, self._failed,
            str(snapshots_folder(self._config)), self._newest, self._problem,
            tuple(self._outcomes.copy()),
        )  # fmt: skip

    def saw(self, seen: Seen) -> None:
        """Hands over a frame; costs the loop no more than that."""
        if not self._config.enabled:
            return
        if self._queue.qsize() >= MAX_PENDING:
            self._skipped += 1
        else:
            self._queue.put(seen)

    def changed(self, state: DaemonState, was: DaemonState, reason: str) -> None:
        """Notes that the daemon's state has changed; DEGRADED is a reason for a snapshot."""
        level = logging.WARNING if state in (DaemonState.DEGRADED, DaemonState.NO_CAMERA) else logging.INFO
        text = f"state={state.name} was={was.name}" + (f" reason={reason!r}" if reason else "")
        self._lines.append(LogLine(time.monotonic_ns(), level, "handmap.state", text))
        if state is DaemonState.DEGRADED:
            self._degraded(reason)

    def use(self, config: FlightRecorderConfig, text: str) -> None:
        """Another configuration from now on, which is noted with its text."""
        self._configs.append(ConfigText(time.monotonic_ns(), text))
        if config != self._config:
            self._config = config
            self._queue.put(config)

    def request(self, trigger: str, reason: str = "", after_s: float = 0.0) -> int:
        """Asks for a snapshot; `facts` has its outcome, under the returned number, once it is done.

        Returns 0 if nothing is recorded.
        """
        number = next(self._tickets) if self._config.enabled else 0
        self._asked = max(self._asked, number)
        self._queue.put(Request(number, trigger, reason, time.monotonic() + after_s))
        return number

    def _degraded(self, reason: str) -> None:
        now_s = time.monotonic()
        config = self._config
        if config.enabled and config.on_degraded and len(self._ring) and now_s - self._degraded_s >= DEGRADED_EVERY_S:
            self._degraded_s = now_s
            self.request(DEGRADED, reason, AFTER_S)

    def _compress(self) -> None:
        _yield_to_others()
        is_open = True
        while is_open:
            with suppress(queue.Empty):
                is_open = self._take(self._queue.get(timeout=POLL_S))
            is_stalled = self._is_stalled()
            if is_stalled and not self._was_stalled:
                self._degraded("the main loop stands still")
            self._was_stalled = is_stalled
            self._hand_on(is_open)
        self._jobs.put(None)

    def _take(self, item: Seen | Request | FlightRecorderConfig | None) -> bool:
        """Takes in one thing; False for the last."""
        if isinstance(item, Request):
            self._want(item)
        elif isinstance(item, FlightRecorderConfig):
            self._ring.resize(item.seconds, item.memory_mb << 20)
            if not item.enabled:
                self._ring.clear()
        elif item is not None:
            self._keep(item)
        return item is not None

    def _want(self, request: Request) -> None:
        if request.number:
            self._wanted.append(request)
        else:
            LOG.warning("snapshot=refused trigger=%s error='flight_recorder.enabled is false'", request.trigger)

    def _keep(self, seen: Seen) -> None:
        try:
            self._ring.keep(seen)
        except Exception as error:  # noqa: BLE001  a frame that cannot be kept must not cost those that follow
            self._ring.clear()
            self._fail(error)

    def _hand_on(self, is_open: bool) -> None:
        """Gives what is due to the writer, one at a time: a second copy of the ring would double its memory."""
        for request in [one for one in self._wanted if not is_open or one.due_s <= time.monotonic()]:
            if is_open and self._writing.is_set():
                return
            self._wanted.remove(request)
            self._writing.set()
            self._jobs.put((request.number, self._contents(request)))

    def _contents(self, request: Request) -> Contents:
        model, frames = self._model(), self._ring.frames()
        about = About(
            FORMAT, __version__, request.trigger, request.reason, time.monotonic_ns(), len(frames), self._skipped, model.bundle,
            model.precision, model.tracker,
        )  # fmt: skip
        return Contents(about, frames, tuple(self._configs), tuple(self._lines.copy()))

    def _write_all(self) -> None:
        _yield_to_others()
        self._prepare()
        while (job := self._jobs.get()) is not None:
            number, contents = job
            try:
                path = write_snapshot(snapshots_folder(self._config), self._config.budget_mb << 20, contents)
            except Exception as error:  # noqa: BLE001  whatever a disk does, the daemon runs on
                self._fail(error)
                self._outcomes.append(SnapshotOutcome(number, problem=self._problem))
            else:
                self._newest, self._problem = str(path), ""
                self._written += 1
                LOG.info("snapshot=%r trigger=%s frames=%d", str(path), contents.about.trigger, len(contents.frames))
                self._outcomes.append(SnapshotOutcome(number, str(path), len(contents.frames), contents.span_s))
            del job, contents
            self._writing.clear()

    def _prepare(self) -> None:
        """Removes what was left half-written, and says at once if the folder cannot be written to: an incident is too late."""
        folder = snapshots_folder(self._config)
        try:
            sweep_snapshots(folder)
            if self._config.enabled:
                refuse_unwritable(folder / "flight")
        except (OSError, HandmapError) as error:
            self._note(error)

    def _fail(self, error: Exception) -> None:
        self._note(error)
        self._failed += 1

    def _note(self, error: Exception) -> None:
        """Remembers why snapshots cannot be written; the same reason, but for names and numbers, is logged once in a row."""
        sentence = str(error) if isinstance(error, HandmapError) else f"{type(error).__name__}: {error}"
        if _NAMES.sub("", sentence) != _NAMES.sub("", self._problem):
            LOG.warning("snapshot=failed error=%r", sentence)
        self._problem = sentence


def _yield_to_others() -> None:
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
