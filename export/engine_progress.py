"""Build progress: turns TensorRT's nested phases into one percentage for the terminal, the log, and systemd."""

import logging
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from handmap.system.notify import Notifier
from handmap.system.progress import Advance

PERCENT: Final = 100
# How long a service that builds at startup may take until the next step; a tactic takes seconds, even on a small board.
NEXT_STEP_S: Final = 120
MORE_TIME: Final = f"EXTEND_TIMEOUT_USEC={NEXT_STEP_S * 1_000_000}"
NOTIFY_EVERY_S: Final = 5.0

LOG = logging.getLogger("handmap.export")


class Phases:
    """The fraction of the work that is done, from nested phases: a phase fills the step of its parent that it began in."""

    def __init__(self) -> None:
        self._open: list[tuple[str, int, int]] = []  # name, steps, steps done; outermost first
        self._share = 0.0

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """Starts a phase of `steps` steps inside the open phase `parent`."""
        names = [known for known, _, _ in self._open]
        if parent is not None and parent not in names:
            return  # inside a parallel branch that is not shown
        del self._open[names.index(parent) + 1 if parent is not None else 0 :]
        self._open.append((name, max(steps, 1), 0))

    def step(self, name: str, number: int) -> float:
        """Marks step `number`, from 0, of an open phase as done; returns the fraction done, which never falls."""
        for index, (known, steps, _) in enumerate(self._open):
            if known == name:
                self._open[index:] = [(known, steps, min(number + 1, steps))]
        share, width = 0.0, 1.0
        for _, steps, done in self._open:
            share += width * done / steps
            width /= steps
        self._share = max(self._share, min(share, 1.0))
        return self._share


def waiting_for_another(notifier: Notifier) -> Callable[[], None]:
    """A function to call while waiting for another build: logs the wait once, and asks systemd for more time on each call."""
    has_said = False

    def wait() -> None:
        nonlocal has_said
        if not has_said:
            LOG.warning("engine cache is locked by another build, waiting for it")
            has_said = True
        notifier.send(MORE_TIME, "STATUS=waiting for another build")

    return wait


def open_monitor(
    trt: ModuleType, advance: Advance, notifier: Notifier, clock: Callable[[], float] = time.monotonic
) -> Any:
    """A `trt.IProgressMonitor` that reports to a progress display and asks systemd for more time.

    An exception must not propagate through the builder's C++: `failure` keeps the first one, and the build is canceled.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[name-defined,misc]  # the base comes with the module
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.failure: BaseException | None = None
            self._phases = Phases()
            self._notified_s = float("-inf")
            self._lock = threading.Lock()  # the builder reports from several threads

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            self._guarded(lambda: self._phases.start(name, parent, steps))

        def step_complete(self, name: str, step: int) -> bool:
            self._guarded(lambda: self._report(name, step))
            return self.failure is None

        def phase_finish(self, name: str) -> None:
            return

        def _report(self, name: str, step: int) -> None:
            percent = int(self._phases.step(name, step) * PERCENT)
            advance(min(percent, PERCENT - 1), name)  # the caller reports the last percent, after verification
            now_s = clock()
            if now_s - self._notified_s >= NOTIFY_EVERY_S:
                self._notified_s = now_s
                notifier.send(MORE_TIME, f"STATUS=building an engine, {percent} %: {name}")

        def _guarded(self, act: Callable[[], None]) -> None:
            try:
                with self._lock:
                    act()
            except BaseException as error:  # noqa: BLE001  # Ctrl-C too; the caller raises it after the build
                self.failure = self.failure or error

    return Monitor()
