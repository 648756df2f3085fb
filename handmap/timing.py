"""The stage clock: how long each step of the loop takes, kept in bounded rings and summed up as percentiles.

No logging here.
"""

import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

DEFAULT_CAPACITY = 4096


@dataclass(frozen=True)
class StageSummary:
    """Percentiles of one stage over the samples that are still in its ring."""

    count: int
    p50_ms: float
    p99_ms: float
    max_ms: float


class StageClock:
    """Durations by stage name, in nanoseconds, the newest `capacity` of each. Belongs to one thread."""

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        self._capacity = capacity
        self._rings: dict[str, deque[int]] = {}
        self._total_ns: dict[str, int] = {}

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

    def total_ns(self, name: str) -> int:
        """All time ever spent in a stage; 0 for one that never ran."""
        return self._total_ns.get(name, 0)

    def summarise(self) -> Mapping[str, StageSummary]:
        """Percentiles of every stage that has a sample, in the order in which the stages were first seen."""
        return {name: _summarise(ring) for name, ring in self._rings.items() if ring}

    def clear(self) -> None:
        """Forgets all samples; the stages keep their order."""
        for ring in self._rings.values():
            ring.clear()


def _summarise(ring: deque[int]) -> StageSummary:
    p50_ns, p99_ns, max_ns = np.percentile(np.fromiter(ring, np.int64, len(ring)), (50, 99, 100))
    return StageSummary(len(ring), float(p50_ns) / 1e6, float(p99_ns) / 1e6, float(max_ns) / 1e6)
