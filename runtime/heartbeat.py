"""The heartbeat thread: sends the state every second, whatever the main loop does, and feeds the watchdog if that advanced.

If the loop stands still for longer, the state that it sends is DEGRADED.
"""

import logging
import threading
from types import TracebackType
from typing import Final

from handmap.protocol.fields import DaemonState
from handmap.system.notify import Notifier

from .publish import Publisher
from .state import DaemonStatus

LOG = logging.getLogger("handmap.heartbeat")

PERIOD_S: Final = 1.0
STALLED_BEATS: Final = 2  # beats in a row without progress; one can happen when the whole process was stopped
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
        fed_at, still = -1, 0
        while True:
            progress = self._status.progress
            still = still + 1 if progress == fed_at else 0
            # A daemon that stops takes the time that a snapshot needs; systemd's limit is what ends one that hangs.
            self._note(still >= STALLED_BEATS and self._status.state is not DaemonState.STOPPING)
            self._publisher.heartbeat(self._status)
            if not still:
                fed_at = progress
                self._notifier.send("WATCHDOG=1")
            if self._stop.wait(self._period_s):
                return

    def _note(self, is_stalled: bool) -> None:
        if is_stalled is not self._status.is_stalled:
            self._status.is_stalled = is_stalled
            LOG.warning("main_loop=%s", "stalled" if is_stalled else "running")
