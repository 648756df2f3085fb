"""The log line of rates and percentiles, every stats_interval_s; nothing is logged per frame."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from handmap.system.timing import StageClock, StageSummary

from .state import Counts

LOG = logging.getLogger("handmap.stats")

STALE_WINDOWS: Final = 2.5  # without frames for this many windows the last one is out of date


@dataclass(frozen=True)
class StatsWindow:
    """The contents of the last line: frames published per second, and each stage's times."""

    rate_hz: float = 0.0
    stages: Mapping[str, StageSummary] = field(default_factory=dict)
    ended_s: float = 0.0  # time.monotonic()


class StatsLog:
    """Counts published frames and logs, every `interval_s`, the rate and p50/p99 in ms of each stage since the last line."""

    def __init__(self, clock: StageClock, interval_s: float) -> None:
        self._clock = clock
        self._interval_s = interval_s
        self._since_s = time.monotonic()
        self._frames = 0
        self._hands = 0
        self._window = StatsWindow()
        self.published = 0  # frames since the start

    def configure(self, interval_s: float) -> None:
        """Changes the interval from now on."""
        self._interval_s = interval_s

    def latest(self) -> StatsWindow:
        """The last window, or an empty one if it ended too long ago."""
        is_fresh = time.monotonic() - self._window.ended_s <= STALE_WINDOWS * self._interval_s
        return self._window if is_fresh else StatsWindow()

    def count(self, hands: int, counts: Counts, send_errors: int) -> None:
        """Adds a published frame with its number of hands; counts and send_errors are totals since the start."""
        self._frames += 1
        self._hands += hands
        self.published += 1
        elapsed_s = time.monotonic() - self._since_s
        if elapsed_s < self._interval_s:
            return
        summary = self._clock.summarize()
        self._window = StatsWindow(self._frames / elapsed_s, summary, time.monotonic())
        stages = " ".join(f"{name}_ms={stage.p50_ms:.2f}/{stage.p99_ms:.2f}" for name, stage in summary.items())
        LOG.info(
            "rate_hz=%.1f hands_per_frame=%.2f dropped=%d skipped=%d stale=%d repeated=%d late=%d send_errors=%d over_budget=%s %s",
            self._frames / elapsed_s, self._hands / self._frames, counts.dropped, counts.skipped, counts.stale,
            counts.repeated, counts.late, send_errors, self._over_budget(), stages,
        )  # fmt: skip
        self._clock.clear()
        self._since_s += elapsed_s
        self._frames = self._hands = 0

    def _over_budget(self) -> str:
        """How often each stage has exceeded its budget since the start."""
        return ",".join(f"{name}:{times}" for name, times in self._clock.over_budget.items()) or "none"
