"""The stage clock: how long each step of the loop takes, kept in bounded ring buffers and summarized as percentiles.

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
# Upper bounds of the histogram's buckets, including one frame at 60 and at 30 frames per second.
BUCKETS_MS: Final = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 16.7, 25.0, 33.3, 50.0, 100.0, 250.0, 1000.0)
_BUCKETS_NS: Final = tuple(bound_ms * 1e6 for bound_ms in BUCKETS_MS)
NO_BUDGETS: Final[Mapping[str, float]] = {}


@dataclass(frozen=True)
class StageSummary:
    """Percentiles of one stage over the samples still in its ring buffer."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True)
class StageHistogram:
    """All samples of one stage ever: the count per bucket of BUCKETS_MS, the last for those above, and their sum."""

    counts: tuple[int, ...]
    total_ns: int


class StageClock:
    """Durations by stage name, in nanoseconds, the newest `capacity` of each. Belongs to one thread.

    over_budget counts how often each stage has exceeded its budget in ms.
    """

    def __init__(self, capacity: int = DEFAULT_CAPACITY, budgets_ms: Mapping[str, float] = NO_BUDGETS) -> None:
        self._capacity = capacity
        self._budgets_ns = {name: budget_ms * 1e6 for name, budget_ms in budgets_ms.items()}
        self.over_budget: dict[str, int] = {}
        self._rings: dict[str, deque[int]] = {}
        self._total_ns: dict[str, int] = {}
        self._buckets: dict[str, list[int]] = {}

    def now_ns(self) -> int:
        """The CLOCK_MONOTONIC time, which frame timestamps use."""
        return time.monotonic_ns()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times the block, even if it raises."""
        start_ns = time.perf_counter_ns()
        try:
            yield
        finally:
            self.record(name, time.perf_counter_ns() - start_ns)

    def record(self, name: str, duration_ns: int) -> None:
        """Adds a duration measured elsewhere."""
        ring = self._rings.get(name)
        if ring is None:
            ring = self._rings[name] = deque(maxlen=self._capacity)
        ring.append(duration_ns)
        self._total_ns[name] = self._total_ns.get(name, 0) + duration_ns
        self._buckets.setdefault(name, [0] * (len(BUCKETS_MS) + 1))[bisect_left(_BUCKETS_NS, duration_ns)] += 1
        if duration_ns > self._budgets_ns.get(name, duration_ns):
            self.over_budget[name] = self.over_budget.get(name, 0) + 1

    def total_ns(self, name: str) -> int:
        """Total time spent in a stage; 0 if it never ran."""
        return self._total_ns.get(name, 0)

    def newest_ms(self) -> dict[str, float]:
        """The newest duration of every stage with samples."""
        return {name: ring[-1] / 1e6 for name, ring in self._rings.items() if ring}

    def summarize(self) -> Mapping[str, StageSummary]:
        """Percentiles of every stage with samples, in order of first appearance; safe from another thread."""
        samples = {name: tuple(ring) for name, ring in self._rings.copy().items()}
        return {name: _summarize(durations_ns) for name, durations_ns in samples.items() if durations_ns}

    def histograms(self) -> Mapping[str, StageHistogram]:
        """Every stage's histogram since the start; safe from another thread, with or without a sample that is just being recorded."""
        return {
            name: StageHistogram(tuple(counts), self._total_ns[name]) for name, counts in self._buckets.copy().items()
        }

    def clear(self) -> None:
        """Discards all samples; the stages keep their order."""
        for ring in self._rings.values():
            ring.clear()


def _summarize(durations_ns: tuple[int, ...]) -> StageSummary:
    p50_ns, p99_ns, max_ns = np.percentile(np.array(durations_ns, np.int64), (50, 99, 100))
    return StageSummary(len(durations_ns), float(p50_ns) / 1e6, float(p99_ns) / 1e6, float(max_ns) / 1e6)
