"""The log line of rates and percentiles, every stats_s; nothing is logged per frame."""

import logging
import time

from handmap.timing import StageClock

LOG = logging.getLogger("handmap.stats")


class StatsLog:
    """Counts published frames and writes, every `every_s`, the rate and p50/p99 in ms of each stage since the last
    line.
    """

    def __init__(self, clock: StageClock, every_s: float) -> None:
        self._clock = clock
        self._every_s = every_s
        self._since_s = time.monotonic()
        self._frames = 0
        self._hands = 0

    def count(self, hands: int, dropped: int, send_errors: int) -> None:
        """Adds a published frame with so many hands; dropped and send_errors are totals since the start."""
        self._frames += 1
        self._hands += hands
        elapsed_s = time.monotonic() - self._since_s
        if elapsed_s < self._every_s:
            return
        stages = " ".join(
            f"{name}_ms={stage.p50_ms:.2f}/{stage.p99_ms:.2f}" for name, stage in self._clock.summarise().items()
        )
        LOG.info(
            "rate_hz=%.1f hands_per_frame=%.2f dropped=%d send_errors=%d %s",
            self._frames / elapsed_s, self._hands / self._frames, dropped, send_errors, stages,
        )  # fmt: skip
        self._clock.clear()
        self._since_s += elapsed_s
        self._frames = self._hands = 0
