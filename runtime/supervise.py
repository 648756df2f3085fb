"""Trying again: what may pass is repeated after a growing pause, what cannot is let through to the exit code."""

import logging
import time
from collections.abc import Callable
from typing import Final

from handmap.types.errors import Transient

LOG = logging.getLogger("handmap.supervise")

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 1.0  # what was mended is in use again within 2 s
HEALTHY_S: Final = 10.0  # an attempt that lasted this long was a success: the next pause is short again
SLICE_S: Final = 0.1


class ProcessSpent(Transient):
    """Only a new process can help; it passes every `keep_trying` and exits 75, and systemd starts afresh."""


class StopFlag:
    """Set by a signal handler.

    A plain flag: handlers run inside the main thread, where a lock could be held already.
    """

    def __init__(self) -> None:
        self.is_set = False

    def set(self) -> None:
        """Asks everything to stop soon."""
        self.is_set = True

    def wait(self, seconds: float, while_waiting: Callable[[], None]) -> None:
        """Waits so long, or until the flag is set; calls while_waiting every 0.1 s."""
        end_s = time.monotonic() + seconds
        while not self.is_set and (left_s := end_s - time.monotonic()) > 0:
            while_waiting()
            time.sleep(min(left_s, SLICE_S))


def keep_trying(
    attempt: Callable[[], None],
    kind: type[Transient],
    on_failure: Callable[[Transient], None],
    stop: StopFlag,
    while_waiting: Callable[[], None],
) -> None:
    """Calls attempt until it returns or stop is set; after an error of this kind pauses 0.5 s, doubling up to 1 s.

    The same sentence is logged once. Raises whatever else the attempt raises.
    """
    pause_s = FIRST_PAUSE_S
    last_sentence = ""
    while not stop.is_set:
        started_s = time.monotonic()
        try:
            attempt()
            return
        except kind as error:
            on_failure(error)
            if str(error) != last_sentence:
                last_sentence = str(error)
                LOG.warning("retry_in_s=%.1f error=%r", pause_s, last_sentence)
        if time.monotonic() - started_s > HEALTHY_S:
            pause_s, last_sentence = FIRST_PAUSE_S, ""
        stop.wait(pause_s, while_waiting)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
