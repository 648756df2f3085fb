"""What the view shows, as plain values: positions, colors and text for each packet; viewer.py draws them."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from handmap.client.session import Received, StreamCounts
from handmap.protocol.fields import HandFlags, MessageType
from handmap.protocol.packet import PacketHand
from handmap.types.arrays import Float32, Uint8
from handmap.types.joints import BONES

from ..capsules import Capsules, capsules_of
from .colors import SIDE_RGB, error_colors

RATE_WINDOW = 60
SILENCE_S = 1.5  # a running daemon sends a heartbeat every second


@dataclass(frozen=True)
class DrawnHand:
    """One hand to draw: joints (21, 3) m with colors (21, 3), and the capsules between them with colors (20, 3)."""

    joints_m: Float32
    colors: Uint8
    capsules: Capsules
    capsule_colors: Uint8


def drawn_hand(hand: PacketHand) -> DrawnHand:
    """The shape of a hand: joints green where the error is expected to be small and red where it is large, bones in its side's color."""
    colors = error_colors(hand.expected_error_m.astype(float) * 1000)
    side = np.tile(np.array(SIDE_RGB[hand.handedness], np.uint8), (len(BONES), 1))
    return DrawnHand(hand.xyz_m, colors, capsules_of(hand.xyz_m), side)


class Readout:
    """The text beside the picture: state, rate of distinct frames, latency, confidence, loss."""

    def __init__(self, hint: str = "is the daemon running?") -> None:
        self._hint = hint
        self._newest: Received | None = None
        self._arrivals_ns: deque[int] = deque(maxlen=RATE_WINDOW)
        self._frame: Received | None = None

    def saw(self, received: Received) -> None:
        """Records a packet."""
        if received.is_restart:
            self._arrivals_ns.clear()
        if received.packet.message_type is MessageType.JOINTS:
            self._arrivals_ns.append(received.received_ns)
            self._frame = received
        self._newest = received

    def rate_hz(self, now_ns: int) -> float:
        """Frames per second over the most recent frames; 0 once they stop."""
        if len(self._arrivals_ns) < 2 or not self.has_frame(now_ns):
            return 0.0
        return (len(self._arrivals_ns) - 1) * 1e9 / max(self._arrivals_ns[-1] - self._arrivals_ns[0], 1)

    def is_silent(self, now_ns: int) -> bool:
        """Whether nothing has arrived for longer than a running daemon is ever silent."""
        return self._newest is None or now_ns - self._newest.received_ns > SILENCE_S * 1e9

    def has_frame(self, now_ns: int) -> bool:
        """Whether hands of the newest frame are still worth showing: a daemon without a camera sends heartbeats alone."""
        return self._frame is not None and now_ns - self._frame.received_ns <= SILENCE_S * 1e9

    def markdown(self, counts: StreamCounts, now_ns: int) -> tuple[str, str]:
        """The state in one line, and the rest, in Markdown."""
        if self._newest is None or self.is_silent(now_ns):
            return f"**no packets**: {self._hint}", ""
        lines = [f"rate {self.rate_hz(now_ns):.1f} Hz"]
        if self._frame is not None and self.has_frame(now_ns):
            lines += [_latency_line(self._frame), *(_hand_line(hand) for hand in self._frame.packet.hands)]
        lines.append(f"lost {counts.lost}, restarts {counts.restarts}, refused {counts.refused}")
        return f"**{self._newest.packet.state.name}**", "\n\n".join(lines)


def _latency_line(frame: Received) -> str:
    if frame.latency_ms is None:
        return f"latency {frame.sender_ms:.1f} ms in the sender"
    return f"latency {frame.latency_ms:.1f} ms"


def _hand_line(hand: PacketHand) -> str:
    error_mm = float(hand.expected_error_m.mean(dtype=float)) * 1000
    mark = "" if hand.flags & HandFlags.VALID else " (not valid)"
    return f"{hand.handedness.name.lower()} hand #{hand.track_id}: confidence {hand.confidence:.2f}, ±{error_mm:.0f} mm{mark}"
