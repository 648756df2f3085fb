"""The stage clock: how long each step of the loop takes, kept in bounded rings and summed up as percentiles.

No logging here.
"""

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

DEFAULT_CAPACITY = 4096
# Upper bounds of the histogram's buckets, with one at a frame of 60 and of 30 a second.
BUCKETS_MS: Final = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 16.7, 25.0, 33.3, 50.0, 100.0, 250.0, 1000.0)
_BUCKETS_NS: Final = tuple(bound_ms * 1e6 for bound_ms in BUCKETS_MS)
NO_BUDGETS: Final[Mapping[str, float]] = {}


@dataclass(frozen=True)
class StageSummary:
    """Percentiles of one stage over the samples that are still in its ring."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True)
class StageHistogram:
    """All samples of one stage ever: how many fell into each bucket of BUCKETS_MS, the last those above, and their sum."""

    counts: tuple[int, ...]
    total_ns: int


class StageClock:
    """Durations by stage name, in nanoseconds, the newest `capacity` of each. Belongs to one thread.

    over_budget counts, for each stage that has ever been slower than its budget in ms, how often it was.
    """

    def __init__(self, capacity: int = DEFAULT_CAPACITY, budgets_ms: Mapping[str, float] = NO_BUDGETS) -> None:
        self._capacity = capacity
        self._budgets_ns = {name: budget_ms * 1e6 for name, budget_ms in budgets_ms.items()}
        self.over_budget: dict[str, int] = {}
        self._rings: dict[str, deque[int]] = {}
        self._total_ns: dict[str, int] = {}
        self._buckets: dict[str, list[int]] = {}

    def now_ns(self) -> int:
        """The time of CLOCK_MONOTONIC, by which frames are stamped."""
        return time.monotonic_ns()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times what runs inside it, also when that raises."""
        start_ns = time.perf_counter_ns()
        try:
            yield
        finally:
            self.record(name, time.perf_counter_ns() - start_ns)

    def record(self, name: str, duration_ns: int) -> None:
        """Adds a duration that was measured elsewhere."""
        ring = self._rings.get(name)
        if ring is None:
            ring = self._rings[name] = deque(maxlen=self._capacity)
        ring.append(duration_ns)
        self._total_ns[name] = self._total_ns.get(name, 0) + duration_ns
        self._buckets.setdefault(name, [0] * (len(BUCKETS_MS) + 1))[bisect_left(_BUCKETS_NS, duration_ns)] += 1
        if duration_ns > self._budgets_ns.get(name, duration_ns):
            self.over_budget[name] = self.over_budget.get(name, 0) + 1

    def total_ns(self, name: str) -> int:
        """All time ever spent in a stage; 0 for one that never ran."""
        return self._total_ns.get(name, 0)

    def summarize(self) -> Mapping[str, StageSummary]:
        """Percentiles of every stage that has a sample, in the order in which the stages were first seen."""
        return {name: _summarize(ring) for name, ring in self._rings.items() if ring}

    def histograms(self) -> Mapping[str, StageHistogram]:
        """Every stage's histogram since the start; another thread may ask, a sample just being recorded is then in or not."""
        return {
            name: StageHistogram(tuple(counts), self._total_ns[name]) for name, counts in self._buckets.copy().items()
        }

    def clear(self) -> None:
        """Forgets all samples; the stages keep their order."""
        for ring in self._rings.values():
            ring.clear()


def _summarize(ring: deque[int]) -> StageSummary:
    p50_ns, p99_ns, max_ns = np.percentile(np.fromiter(ring, np.int64, len(ring)), (50, 99, 100))
    return StageSummary(len(ring), float(p50_ns) / 1e6, float(p99_ns) / 1e6, float(max_ns) / 1e6)
