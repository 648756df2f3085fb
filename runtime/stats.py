"""The log line of rate, age and quality, every stats_interval_s; nothing is logged per frame. docs/operating.md explains its words."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from handmap.system.timing import StageClock, StageSummary

from .quality import Quality
from .rate import RateMeter
from .state import Counts

LOG = logging.getLogger("handmap.stats")

STALE_WINDOWS: Final = 2.5  # without frames for this many windows the last one is out of date
TIMES: Final = ("age", "total")  # the stages in the line; the others are in the metrics
LOSSES: Final = ("dropped", "skipped", "throttled", "late", "stale", "repeated", "outdated")  # fields of `Counts`


class StatsLog:
    """Counts published frames and logs, every `interval_s`, what happened since the last line."""

    def __init__(self, clock: StageClock, interval_s: float, quality: Quality) -> None:
        self._clock = clock
        self._interval_s = interval_s
        self._quality = quality
        self._stages: Mapping[str, StageSummary] | None = None  # of the last window
        self._ended_s = 0.0
        self._rate = RateMeter()
        self._since_s = time.monotonic()
        self._frames_before = 0
        self._before = _Totals()
        self._slow_before: dict[str, int] = {}

    @property
    def published(self) -> int:
        """Frames since the start."""
        return self._rate.total

    def configure(self, interval_s: float) -> None:
        """Changes the interval from now on."""
        self._interval_s = interval_s

    def rate_hz(self) -> float:
        """Frames published per second over the newest frames; 0 when they have stopped. Any thread can call this."""
        return self._rate.rate_hz()

    def stages(self) -> Mapping[str, StageSummary]:
        """Each stage's times in the last window, or in the first one so far; empty if it ended too long ago.

        Any thread can call this.
        """
        if self._stages is None:
            return self._clock.summarize()
        is_fresh = time.monotonic() - self._ended_s <= STALE_WINDOWS * self._interval_s
        return self._stages if is_fresh else {}

    def count(self, counts: Counts, send_errors: int) -> None:
        """Adds a published frame; counts and send_errors are totals since the start."""
        self._rate.note()
        now_s = time.monotonic()
        elapsed_s = now_s - self._since_s
        if elapsed_s < self._interval_s:
            return
        self._stages, self._ended_s = self._clock.summarize(), now_s
        self._log(_Totals.of(self._quality, counts, send_errors), elapsed_s, self._stages)
        self._clock.clear()
        self._since_s = now_s

    def _log(self, now: "_Totals", elapsed_s: float, stages: Mapping[str, StageSummary]) -> None:
        """One line: what always counts, then each loss that occurred."""
        before, self._before = self._before, now
        frames = self._rate.total - self._frames_before
        self._frames_before = self._rate.total
        hands = now.hands - before.hands
        words: list[tuple[str, str, object]] = [
            ("rate_hz", "%.1f", frames / elapsed_s),
            ("camera_hz", "%.1f", (now.arrived - before.arrived) / elapsed_s),
            ("hands", "%.2f", hands / frames),
        ]
        if hands:
            words.append(("error_mm", "%.1f", 1e3 * (now.error_m - before.error_m) / hands))
        for name in TIMES:
            if name in stages:
                words.append((f"{name}_ms", "%s", f"{stages[name].p50_ms:.1f}/{stages[name].p99_ms:.1f}"))
        lost = {name: count - before.losses.get(name, 0) for name, count in now.losses.items()}
        words += [(name, "%d", count) for name, count in lost.items() if count]
        if slow := self._slow():
            words.append(("slow", "%s", slow))
        LOG.info(" ".join(f"{name}={form}" for name, form, _ in words), *(value for _, _, value in words))

    def _slow(self) -> str:
        """How often each stage has exceeded its budget since the last line; the age at send is among the losses, as `late`."""
        before, self._slow_before = self._slow_before, dict(self._clock.over_budget)
        times = {name: count - before.get(name, 0) for name, count in self._slow_before.items() if name != "age"}
        return ",".join(f"{name}:{count}" for name, count in times.items() if count)


@dataclass(frozen=True)
class _Totals:
    """What the next line is compared with: totals since the start."""

    arrived: int = 0
    hands: int = 0
    error_m: float = 0.0
    losses: Mapping[str, int] = field(default_factory=dict)

    @staticmethod
    def of(quality: Quality, counts: Counts, send_errors: int) -> "_Totals":
        errors = quality.expected_error_m
        losses = {name: int(getattr(counts, name)) for name in LOSSES} | {"send_errors": send_errors}
        return _Totals(counts.arrivals.total, sum(errors.counts), errors.total, losses)
