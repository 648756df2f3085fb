"""The last minute in numbers, in bins of half a second: rate, age, confidence, expected error, loss, jitter, and each stage's time."""

import math
from collections import deque
from collections.abc import Mapping
from typing import Final

import numpy as np

from handmap.client.session import Received
from handmap.protocol.fields import MessageType
from handmap.types.arrays import Float64

SPAN_S: Final = 60.0
BIN_S: Final = 0.5
BINS: Final = round(SPAN_S / BIN_S)


class History:
    """Takes in packets and stage times as they come; `series` gives the mean of each bin, 0 where there was nothing."""

    def __init__(self) -> None:
        self._rows: deque[tuple[float, str, float]] = deque()  # time s, name, value
        self._before_ns: int | None = None
        self._interval_s: float | None = None

    def saw(self, received: Received) -> None:
        """Adds a packet."""
        now_s = received.received_ns / 1e9
        if received.lost_before:
            self._rows.append((now_s, "lost", float(received.lost_before)))
        if received.packet.message_type is not MessageType.JOINTS:
            return
        self._rows.append((now_s, "frames", 1.0))
        age_ms = received.sender_ms if received.latency_ms is None else received.latency_ms
        self._rows.append((now_s, "age", age_ms))
        for hand in received.packet.hands:
            self._rows.append((now_s, "confidence", hand.confidence))
            self._rows.append((now_s, "error", float(np.mean(hand.expected_error_m, dtype=float)) * 1000))
        if self._before_ns is not None and not received.is_restart:
            interval_s = (received.received_ns - self._before_ns) / 1e9
            if self._interval_s is not None:
                self._rows.append((now_s, "jitter", abs(interval_s - self._interval_s) * 1000))
            self._interval_s = interval_s
        self._before_ns = received.received_ns

    def saw_stages(self, now_s: float, stages_ms: Mapping[str, float]) -> None:
        """Adds the stage times of a frame, ms."""
        for name, took_ms in stages_ms.items():
            self._rows.append((now_s, f"stage {name}", took_ms))

    def clear(self) -> None:
        """Forgets all, as when a recording is played from another place."""
        self._rows.clear()
        self._before_ns = self._interval_s = None

    def ages_s(self) -> Float64:
        """The middle of each bin, s before now, the oldest first."""
        middles: Float64 = np.arange(BINS, dtype=np.float64) * BIN_S + BIN_S / 2 - SPAN_S
        return middles

    def series(self, now_s: float) -> dict[str, Float64]:
        """The bins (BINS,) of everything seen in the last minute; frames and lost are per second."""
        while self._rows and self._rows[0][0] < now_s - SPAN_S:
            self._rows.popleft()
        sums: dict[str, Float64] = {}
        counts: dict[str, Float64] = {}
        for at_s, name, value in self._rows:
            index = min(math.floor((at_s - now_s + SPAN_S) / BIN_S), BINS - 1)
            if index < 0:
                continue
            sums.setdefault(name, np.zeros(BINS))[index] += value
            counts.setdefault(name, np.zeros(BINS))[index] += 1
        per_bin = {"frames": BIN_S, "lost": BIN_S}
        return {name: total / per_bin.get(name, np.maximum(counts[name], 1)) for name, total in sums.items()}
