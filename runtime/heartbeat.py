"""The heartbeat thread: sends the state every second, whatever the main loop does, and feeds the watchdog if that advanced."""

import threading
from types import TracebackType
from typing import Final

from handmap.system.notify import Notifier

from .publish import Publisher
from .state import DaemonStatus

PERIOD_S: Final = 1.0
JOIN_S: Final = 0.3


class Heartbeat:
    """Sends heartbeats for the duration of a `with` block."""

    def __init__(
        self, publisher: Publisher, status: DaemonStatus, notifier: Notifier, period_s: float = PERIOD_S
    ) -> None:
        self._publisher = publisher
        self._status = status
        self._notifier = notifier
        self._period_s = period_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(JOIN_S)

    def _beat(self) -> None:
        fed_at = -1
        while True:
            self._publisher.heartbeat(self._status)
            if self._status.progress != fed_at:
                fed_at = self._status.progress
                self._notifier.send("WATCHDOG=1")
            if self._stop.wait(self._period_s):
                return
