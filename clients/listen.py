"""`handmap listen`: packets as text or as JSON lines.

Also the reference implementation for a receiver of your own.
"""

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from handmap.client.session import PacketReceiver, Received, StreamCounts
from handmap.protocol.fields import DaemonState, HandFlags, MessageType
from handmap.protocol.packet import PacketHand
from handmap.protocol.skeleton_block import HandSkeleton
from handmap.types.joints import WRIST

from .statistics import ReceptionStats, rare_counts

WAIT_S = 0.2
SILENCE_S = 1.5  # a running daemon sends a heartbeat every second
LINE_EVERY_S = 1.0
MAX_STREAMS = 8  # remembered at a time; anybody can make up stream ids

Write = Callable[[str], None]


@dataclass(frozen=True)
class Limits:
    """When to stop: after so many packets or seconds; None: never."""

    count: int | None = None
    seconds: float | None = None


def print_packets(
    receiver: PacketReceiver,
    show: Callable[[Received], None],
    warn: Write,
    hint: str,
    limits: Limits,
) -> None:
    """Prints packets until so many have arrived or so many seconds have passed, else forever; warns once per silence, with a hint."""
    count, seconds = limits.count, limits.seconds
    newest_s = time.monotonic()
    end_s = newest_s + seconds if seconds is not None else float("inf")
    shown = 0
    is_silent = False
    while (now_s := time.monotonic()) < end_s and (count is None or shown < count) and not receiver.has_ended:
        if now_s - newest_s > SILENCE_S and not is_silent:
            is_silent = True
            warn(f"-- silence: nothing received for {SILENCE_S} s; {receiver.problem or hint}")
        received = receiver.wait(min(WAIT_S, max(end_s - now_s, 0.001)))
        if received is not None:
            show(received)
            shown += 1
            newest_s, is_silent = time.monotonic(), False


class StatsLines:
    """A line of figures per second, and all of them at the end; as JSON only the latter."""

    def __init__(self, write: Write, receiver: PacketReceiver, is_json: bool) -> None:
        self._write = write
        self._receiver = receiver
        self._is_json = is_json
        self._stats = ReceptionStats()
        self._line_s = time.monotonic()

    def __call__(self, received: Received) -> None:
        self._stats.see(received)
        now_s = time.monotonic()
        if now_s - self._line_s >= LINE_EVERY_S and not self._is_json:
            self._line_s = now_s
            self._write(self._stats.line(self._receiver.counts))

    def close(self) -> None:
        """Writes the figures of the whole time."""
        counts = self._receiver.counts
        self._write(json.dumps(self._stats.as_json(counts)) if self._is_json else self._stats.table(counts))


class TextLines:
    """One line per packet with joints; heartbeats, which repeat the state, only when it changes."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._state: DaemonState | None = None
        self._streams: deque[int] = deque(maxlen=MAX_STREAMS)
        self._has_two_senders = False

    def __call__(self, received: Received) -> None:
        packet = received.packet
        self._note_stream(packet.stream_id)
        if received.lost_before:
            self._write(f"-- {received.lost_before} packets lost")
        if packet.state is not self._state:
            self._state = packet.state
            self._write(f"-- {packet.state.name}")
        if packet.message_type is MessageType.JOINTS:
            latency_ms = received.sender_ms if received.latency_ms is None else received.latency_ms
            hands = "; ".join(format_packet(hand) for hand in packet.hands) or "no hand"
            self._write(f"frame {packet.frame_number:>7} {latency_ms:>7.1f} ms  {hands}")

    def _note_stream(self, stream_id: int) -> None:
        """Distinguishes a restart from two daemons sending at once: a stream that has ended never comes back."""
        if self._streams and stream_id not in self._streams:
            self._write(f"-- restarted as stream {stream_id:08x}")
        elif self._streams and stream_id != self._streams[-1] and not self._has_two_senders:
            self._has_two_senders = True
            self._write(f"-- two daemons send to this port: {self._streams[-1]:08x} and {stream_id:08x}; stop one")
        if stream_id not in self._streams:
            self._streams.append(stream_id)


def format_packet(hand: PacketHand) -> str:
    """One hand in about fifty characters: handedness, track, wrist in mm, expected error, confidence."""
    x, y, z = hand.xyz_m[WRIST].astype(float) * 1000
    error_mm = float(hand.expected_error_m.mean(dtype=float)) * 1000
    mark = "" if hand.flags & HandFlags.VALID else " NOT VALID"
    return (
        f"{hand.handedness.name.lower()} #{hand.track_id} wrist ({x:+5.0f} {y:+5.0f} {z:5.0f}) mm "
        f"+-{error_mm:.0f}, confidence {hand.confidence:.2f}{mark}"
    )


def as_json(received: Received) -> dict[str, Any]:
    """A packet as plain values; joints in meters, in hand21 order."""
    packet = received.packet
    return {
        "message_type": packet.message_type.name.lower(),
        "state": packet.state.name,
        "version": list(packet.version),
        "stream_id": packet.stream_id,
        "sequence": packet.sequence,
        "frame_number": packet.frame_number,
        "capture_ns": packet.capture_ns,
        "publish_ns": packet.publish_ns,
        "received_ns": received.received_ns,
        "latency_ms": received.latency_ms,
        "clock_offset_ms": None if received.clock_offset_ns is None else received.clock_offset_ns / 1e6,
        "lost_before": received.lost_before,
        "is_restart": received.is_restart,
        "clock": packet.clock.name.lower(),
        "timestamp_source": packet.timestamp_source.name.lower(),
        "frame_of_reference": packet.frame_of_reference.name.lower(),
        "precision": packet.precision.name.lower(),
        "joint_order": packet.joint_order.name.lower(),
        "bundle_id": packet.bundle_id.hex(),
        "hands": [hand_as_json(hand) for hand in packet.hands],
    }


def hand_as_json(hand: PacketHand) -> dict[str, Any]:
    """A hand as plain values."""
    return {
        "track_id": hand.track_id,
        "handedness": hand.handedness.name.lower(),
        "handedness_confidence": hand.handedness_confidence,
        "confidence": hand.confidence,
        "is_valid": bool(hand.flags & HandFlags.VALID),
        "is_tracked": bool(hand.flags & HandFlags.TRACKED),
        "is_extrapolated": bool(hand.flags & HandFlags.EXTRAPOLATED),
        "xyz_m": hand.xyz_m.tolist(),
        "expected_error_m": hand.expected_error_m.tolist(),
        "skeleton": None if hand.skeleton is None else skeleton_as_json(hand.skeleton),
    }


def skeleton_as_json(skeleton: HandSkeleton) -> dict[str, Any]:
    """A skeleton as plain values; orientations of all 21 joints as x, y, z, w."""
    return {
        "quaternions": skeleton.joint_quaternions.tolist(),
        "angles_rad": skeleton.angles.tolist(),
        "pinch_strength": skeleton.pinch_strength.tolist(),
        "is_pinching": skeleton.is_pinching.tolist(),
        "grasp_closure": skeleton.grasp_closure,
        "hand_length_m": skeleton.hand_length_m,
        "hand_length_error_m": skeleton.hand_length_error_m,
        "is_size_held": skeleton.is_size_held,
    }


def reception_summary(counts: StreamCounts) -> str:
    """The totals in one line."""
    line = (
        f"{counts.received} packets, {counts.lost} lost, {counts.late} late, {counts.repeated} repeated, "
        f"{counts.restarts} restarts, {counts.refused} refused{rare_counts(counts)}"
    )
    return f"{line} (last: {counts.refusal})" if counts.refusal else line
