"""Retries: transient errors are retried after a growing pause, fatal ones propagate to the exit code."""

import logging
import time
from collections.abc import Callable
from typing import Final

from handmap.types.errors import Transient

LOG = logging.getLogger("handmap.retry")

MIN_PAUSE_S: Final = 0.5
MAX_PAUSE_S: Final = 1.0  # whatever was fixed is in use again within 2 s
HEALTHY_S: Final = 10.0  # an attempt that lasted this long counts as a success: the next pause is short again
SLICE_S: Final = 0.1


class RestartRequired(Transient):
    """Only a new process can help: the daemon exits with 75, and systemd starts it again."""


class StopFlag:
    """A flag that a signal handler sets.

    It uses no lock: handlers run in the main thread, which could be holding it already.
    """

    def __init__(self) -> None:
        self.is_set = False

    def set(self) -> None:
        """Requests a stop."""
        self.is_set = True

    def wait(self, seconds: float, while_waiting: Callable[[], None]) -> None:
        """Waits this long, or until the flag is set; calls while_waiting every 0.1 s."""
        end_s = time.monotonic() + seconds
        while not self.is_set and (left_s := end_s - time.monotonic()) > 0:
            while_waiting()
            time.sleep(min(left_s, SLICE_S))


class Backoff:
    """Pauses between attempts at one thing: 0.5 s, then 1 s; short again once an attempt has lasted 10 s.

    A repeated message is logged once.
    """

    def __init__(self) -> None:
        self._pause_s = MIN_PAUSE_S
        self._last_sentence = ""
        self._started_s = time.monotonic()

    def begin(self) -> None:
        """Marks the start of an attempt."""
        self._started_s = time.monotonic()

    def fail(self, error: Transient) -> float:
        """Marks the attempt as failed, and returns the pause in seconds before the next one."""
        if time.monotonic() - self._started_s > HEALTHY_S:
            self._pause_s, self._last_sentence = MIN_PAUSE_S, ""
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, MAX_PAUSE_S)
        if str(error) != self._last_sentence:
            self._last_sentence = str(error)
            LOG.warning("retry_in_s=%.1f error=%r", pause_s, self._last_sentence)
        return pause_s
