"""`handmap listen --stats`: rate, loss, jitter and age of what arrives, by percentiles."""

from collections import deque
from typing import Any, Final

import numpy as np

from handmap.client.session import Received, StreamCounts
from handmap.protocol.fields import MessageType

MAX_SAMPLES: Final = 100_000  # of each; at 60 frames a second the newest half hour
PERCENTILES: Final = (50, 95, 99)
RECENT: Final = 60


class ReceptionStats:
    """Figures about the frames received so far; heartbeats carry none."""

    def __init__(self) -> None:
        self._intervals_ms: deque[float] = deque(maxlen=MAX_SAMPLES)
        self._changes_ms: deque[float] = deque(maxlen=MAX_SAMPLES)
        self._ages_ms: deque[float] = deque(maxlen=MAX_SAMPLES)
        self._senders_ms: deque[float] = deque(maxlen=MAX_SAMPLES)
        self._newest: Received | None = None
        self._first_ns = 0
        self._frames = 0
        self._with_hands = 0
        self._clock_error_ns = 0

    def see(self, received: Received) -> None:
        """Takes in a packet."""
        if received.packet.message_type is not MessageType.JOINTS:
            return
        newest = self._newest
        if newest is not None and newest.packet.stream_id == received.packet.stream_id:
            interval_ms = (received.received_ns - newest.received_ns) / 1e6
            if self._intervals_ms:
                self._changes_ms.append(abs(interval_ms - self._intervals_ms[-1]))
            self._intervals_ms.append(interval_ms)
        self._first_ns = self._first_ns or received.received_ns
        self._newest = received
        self._frames += 1
        self._with_hands += bool(received.hands)
        self._senders_ms.append(received.sender_ms)
        if received.latency_ms is not None:
            self._ages_ms.append(received.latency_ms)
            self._clock_error_ns = received.clock_error_ns

    def line(self, counts: StreamCounts) -> str:
        """The newest frames in one line."""
        recent = list(self._intervals_ms)[-RECENT:]
        rate_hz = 1000 * len(recent) / sum(recent) if sum(recent) > 0 else 0.0
        ages = list(self._ages_ms)[-RECENT:]
        age = f"age {np.median(ages):.1f} ms" if ages else "age not known: no clock offset"
        return (
            f"{rate_hz:5.1f} frames/s, {age}, longest interval {max(recent, default=0):.1f} ms, {counts.lost} lost, "
            f"{counts.refused} refused"
        )

    def as_json(self, counts: StreamCounts) -> dict[str, Any]:
        """Everything, as plain values."""
        newest = self._newest
        elapsed_s = (newest.received_ns - self._first_ns) / 1e9 if newest is not None else 0.0
        expected = counts.received + counts.lost
        return {
            "frames": self._frames,
            "frames_with_hands": self._with_hands,
            "rate_hz": round((self._frames - 1) / elapsed_s, 2) if elapsed_s > 0 else 0.0,
            "packets": counts.received,
            "lost": counts.lost,
            "lost_percent": round(100 * counts.lost / expected, 3) if expected else 0.0,
            "late": counts.late,
            "repeated": counts.repeated,
            "restarts": counts.restarts,
            "refused": counts.refused,
            "incomplete": counts.incomplete,
            "unproven": counts.unproven,
            "interval_ms": _spread(self._intervals_ms),
            "jitter_ms": round(float(np.mean(self._changes_ms)), 3) if self._changes_ms else None,
            "age_ms": _spread(self._ages_ms),
            "sender_ms": _spread(self._senders_ms),
            "clock_error_ms": round(self._clock_error_ns / 1e6, 3) if self._ages_ms else None,
        }

    def table(self, counts: StreamCounts) -> str:
        """Everything, for a terminal."""
        facts = self.as_json(counts)
        rows = [
            f"{facts['frames']} frames at {facts['rate_hz']:.1f} per second, {facts['frames_with_hands']} with hands",
            f"{facts['packets']} packets, {facts['lost']} lost ({facts['lost_percent']:.2f} %), {facts['late']} late, "
            f"{facts['repeated']} repeated, {facts['restarts']} restarts, {facts['refused']} refused{rare_counts(counts)}",
            "",
            f"{'ms':<26}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}",
        ]
        for name, key in (
            ("interval", "interval_ms"),
            ("age on arrival", "age_ms"),
            ("capture to sending", "sender_ms"),
        ):
            spread = facts[key]
            shown = "".join(f"{value:>9.2f}" for value in spread.values()) if spread else "  not known"
            rows.append(f"{name:<26}{shown}")
        if facts["jitter_ms"] is not None:
            rows.append(
                f"jitter {facts['jitter_ms']:.2f} ms: how much one interval differs from the one before, on average"
            )
        if facts["age_ms"] is None:
            rows.append("age: the sender's clock is not known here; set publish.control on it, and receive with --from")
        elif facts["clock_error_ms"]:
            rows.append(f"age: the sender's clock is known to {facts['clock_error_ms']:.2f} ms")
        return "\n".join(rows)


def rare_counts(counts: StreamCounts) -> str:
    """What is counted only with more hands than a packet holds, or with keys, to go after the other totals; empty without any."""
    found = {"incomplete": counts.incomplete, "unproven": counts.unproven}
    return "".join(f", {number} {name}" for name, number in found.items() if number)


def _spread(samples: deque[float]) -> dict[str, float] | None:
    if not samples:
        return None
    values = [round(float(value), 3) for value in (*np.percentile(samples, PERCENTILES), max(samples))]
    return dict(zip(("p50", "p95", "p99", "max"), values, strict=True))
