"""How far the sender's clock is ahead of ours, from questions and their answers.

A question that left at a and whose answer arrived at d, by our clock, was received at b and answered at c by the sender's. Nothing
arrives before it was sent, so the sender's clock is ahead by at most b - a and by at least c - d (F. Cristian, Probabilistic clock
synchronization, 1989, of which this takes each way by itself). Clocks drift, so a bound loosens with its age.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

MAX_DRIFT: Final = 1e-4  # of two quartz clocks against each other; 50 ppm each
WINDOW_NS: Final = 10 * 10**9  # older bounds have loosened by a millisecond
MAX_EXCHANGES: Final = 64
MIN_EXCHANGES: Final = 4  # a first one alone can be off by half a round trip


@dataclass(frozen=True)
class Exchange:
    """The four times of a question and its answer, ns: asked and arrived by our clock, received and answered by the sender's."""

    asked_ns: int
    received_ns: int
    answered_ns: int
    arrived_ns: int


@dataclass(frozen=True)
class Offset:
    """The sender's clock minus ours, ns, and how far off that can be."""

    offset_ns: int
    error_ns: int


class ClockOffset:
    """The offset of one sender's clock."""

    def __init__(self) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=MAX_EXCHANGES)

    def add(self, exchange: Exchange) -> None:
        """Takes in an answer. One that contradicts those before it, as after a step of a clock, replaces them."""
        self._exchanges.append(exchange)
        if self._bounds(exchange.arrived_ns) is None:
            self._exchanges.clear()
            self._exchanges.append(exchange)

    def at(self, now_ns: int) -> Offset | None:
        """The offset at this time by our clock, or None while too little is known of it."""
        bounds = self._bounds(now_ns) if len(self._exchanges) >= MIN_EXCHANGES else None
        if bounds is None:
            return None
        low, high = bounds
        return Offset(round((low + high) / 2), round((high - low) / 2))

    def _bounds(self, now_ns: int) -> tuple[float, float] | None:
        while len(self._exchanges) > 1 and now_ns - self._exchanges[0].arrived_ns > WINDOW_NS:
            self._exchanges.popleft()
        if not self._exchanges:
            return None
        low = max(
            each.answered_ns - each.arrived_ns - MAX_DRIFT * abs(now_ns - each.arrived_ns) for each in self._exchanges
        )
        high = min(
            each.received_ns - each.asked_ns + MAX_DRIFT * abs(now_ns - each.asked_ns) for each in self._exchanges
        )
        return (low, high) if low <= high else None
