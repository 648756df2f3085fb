"""How far the sender's clock is ahead of ours, from questions and their answers.

A question that left at a and whose answer arrived at d, by our clock, was received at b and answered at c by the sender's. Nothing
arrives before it was sent, so the sender's clock is ahead by at most b - a and by at least c - d (F. Cristian, Probabilistic clock
synchronization, 1989, of which this takes each way by itself). Clocks drift, so a bound loosens with its age.
"""

from dataclasses import dataclass
from typing import Final

MAX_DRIFT: Final = 1e-4  # of two quartz clocks against each other: 50 ppm each
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
        self._low_ns = self._high_ns = 0.0  # bounds at the last arrival
        self._arrived_ns = 0
        self._exchanges = 0

    def add(self, exchange: Exchange) -> None:
        """Takes in an answer. One that contradicts those before it, as after a step of a clock, replaces them."""
        low, high = self._bounds(exchange.arrived_ns)
        round_trip_ns = exchange.arrived_ns - exchange.asked_ns
        now_low = exchange.answered_ns - exchange.arrived_ns
        now_high = exchange.received_ns - exchange.asked_ns + MAX_DRIFT * round_trip_ns
        if self._exchanges and max(low, now_low) <= min(high, now_high):
            self._low_ns, self._high_ns = max(low, now_low), min(high, now_high)
            self._exchanges += 1
        else:
            self._low_ns, self._high_ns, self._exchanges = now_low, now_high, 1
        self._arrived_ns = exchange.arrived_ns

    def at(self, now_ns: int) -> Offset | None:
        """The offset at this time by our clock, or None while too little is known of it."""
        if self._exchanges < MIN_EXCHANGES:
            return None
        low, high = self._bounds(now_ns)
        return Offset(round((low + high) / 2), round((high - low) / 2))

    def _bounds(self, now_ns: int) -> tuple[float, float]:
        loosened_ns = MAX_DRIFT * max(now_ns - self._arrived_ns, 0)
        return self._low_ns - loosened_ns, self._high_ns + loosened_ns
