"""How often something happens now, and how often it has happened."""

import time
from collections import deque
from typing import Final

RATE_EVENTS: Final = 120  # that the current rate covers: two seconds at 60 frames per second
SILENT_S: Final = 1.5  # without an event for this long, or for as many intervals, the rate is 0
SILENT_INTERVALS: Final = 2.5


class RateMeter:
    """Counts events of one thread; any thread can read it."""

    def __init__(self) -> None:
        self.total = 0  # since the start
        self._times_s: deque[float] = deque(maxlen=RATE_EVENTS)

    def note(self) -> None:
        """Counts an event that happens now; after a silence the rate is that of the events since."""
        now_s = time.monotonic()
        if self._is_silent(tuple(self._times_s), now_s):
            self._times_s.clear()
        self._times_s.append(now_s)
        self.total += 1

    def rate_hz(self) -> float:
        """Events per second over the newest ones; 0 when they have stopped, or before the second one."""
        times_s = tuple(self._times_s)
        if len(times_s) < 2 or self._is_silent(times_s, time.monotonic()):
            return 0.0
        return 1 / max(_interval_s(times_s), 1e-6)

    def _is_silent(self, times_s: tuple[float, ...], now_s: float) -> bool:
        return len(times_s) >= 2 and now_s - times_s[-1] > max(SILENT_S, SILENT_INTERVALS * _interval_s(times_s))


def _interval_s(times_s: tuple[float, ...]) -> float:
    return (times_s[-1] - times_s[0]) / (len(times_s) - 1)
