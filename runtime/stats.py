"""The log line of rates and percentiles, every stats_interval_s; nothing is logged per frame."""

import logging
import time
from collections import deque
from collections.abc import Mapping
from typing import Final

from handmap.system.timing import StageClock, StageSummary

from .state import Counts

LOG = logging.getLogger("handmap.stats")

STALE_WINDOWS: Final = 2.5  # without frames for this many windows the last one is out of date
RATE_FRAMES: Final = 120  # that the current rate covers: two seconds at 60 frames per second
SILENT_S: Final = 1.5  # without a frame for this long, or as many frame times, the rate is 0
SILENT_FRAMES: Final = 2.5


class StatsLog:
    """Counts published frames and logs, every `interval_s`, the rate and p50/p99 in ms of each stage since the last line."""

    def __init__(self, clock: StageClock, interval_s: float) -> None:
        self._clock = clock
        self._interval_s = interval_s
        self._since_s = time.monotonic()
        self._frames = 0
        self._hands = 0
        self._stages: Mapping[str, StageSummary] | None = None  # of the last window
        self._ended_s = 0.0
        self._published_s: deque[float] = deque(maxlen=RATE_FRAMES)
        self.published = 0  # frames since the start

    def configure(self, interval_s: float) -> None:
        """Changes the interval from now on."""
        self._interval_s = interval_s

    def rate_hz(self) -> float:
        """Frames published per second over the newest frames; 0 when they have stopped. Any thread can call this."""
        times_s = tuple(self._published_s)
        if len(times_s) < 2:
            return 0.0
        frame_s = (times_s[-1] - times_s[0]) / (len(times_s) - 1)
        is_silent = time.monotonic() - times_s[-1] > max(SILENT_S, SILENT_FRAMES * frame_s)
        return 0.0 if is_silent else 1 / max(frame_s, 1e-6)

    def stages(self) -> Mapping[str, StageSummary]:
        """Each stage's times in the last window, or in the first one so far; empty if it ended too long ago.

        Any thread can call this.
        """
        if self._stages is None:
            return self._clock.summarize()
        is_fresh = time.monotonic() - self._ended_s <= STALE_WINDOWS * self._interval_s
        return self._stages if is_fresh else {}

    def count(self, hands: int, counts: Counts, send_errors: int) -> None:
        """Adds a published frame with its number of hands; counts and send_errors are totals since the start."""
        self._frames += 1
        self._hands += hands
        self.published += 1
        now_s = time.monotonic()
        self._published_s.append(now_s)
        elapsed_s = now_s - self._since_s
        if elapsed_s < self._interval_s:
            return
        summary = self._clock.summarize()
        self._stages, self._ended_s = summary, now_s
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
