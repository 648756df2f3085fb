"""One hand as a program should see it: live while it is heard of, held when it is lost, then let go; never a pose that nobody sent.

A receiver that moves something must not move it on a lost hand. So a hand has an engagement from 0 to 1, which is how far to follow
it: it rises when a hand appears, stays while a lost one is held, and falls while it is let go. A robot would go to
rest + engagement * (xyz_m - rest). Joints never jump either: a hand taken up again is approached from where the last one was held.
"""

import math
from dataclasses import dataclass, fields, replace
from enum import Enum

import numpy as np

from handmap.client.session import Received
from handmap.protocol.fields import DaemonState, HandFlags, MessageType
from handmap.protocol.packet import PacketHand
from handmap.types.arrays import Float32
from handmap.types.errors import ConfigError
from handmap.types.values import Handedness

SEEING = (DaemonState.TRACKING, DaemonState.DEGRADED)  # states in which the daemon publishes hands


class Phase(Enum):
    """What is done with a hand: LIVE is followed, HELD stays where it was, RELAXING is let go of."""

    LIVE = "live"
    HELD = "held"
    RELAXING = "relaxing"


@dataclass(frozen=True)
class HandTiming:
    """Seconds: stale_s without news a hand is lost, hold_s longer it is held, then it is let go within relax_s; engage_s to take it up.

    Raises ConfigError if one of them is negative or not finite.
    """

    stale_s: float = 0.1
    hold_s: float = 0.25
    relax_s: float = 1.0
    engage_s: float = 0.3

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"hand timing: found {each.name} {value!r}, wanted seconds, 0 or more; correct it")


@dataclass(frozen=True)
class HeldHand:
    """A hand as last heard of; age_s is the time since then.

    xyz_m (21, 3) are the joints to go to, m: those of the hand, or on the way to them from where the last one was held. engagement says
    how far to follow them, 0 to 1. epoch changes when this is another hand, or one taken up again: filters start anew then.
    """

    hand: PacketHand
    xyz_m: Float32
    phase: Phase
    engagement: float
    age_s: float
    epoch: int


DEFAULT_TIMING = HandTiming()


class HandState:
    """The state of one hand of a person, or of whichever is seen first with handedness UNKNOWN; all times are CLOCK_MONOTONIC ns here."""

    def __init__(self, handedness: Handedness = Handedness.UNKNOWN, timing: HandTiming = DEFAULT_TIMING) -> None:
        self._handedness = handedness
        self._timing = timing
        self._held: HeldHand | None = None
        self._stream = 0
        self._heard_ns = 0
        self._lost_ns: int | None = None  # since when the sender says that there is no such hand
        self._now_ns = 0
        self._epoch = 0
        self._from_m: Float32 | None = None  # joints that the hand is approached from
        self._approach = 1.0  # how far it has been approached

    def see(self, received: Received) -> None:
        """Takes in a packet; one without this hand says that it is lost, and a heartbeat says so only if the daemon sees nothing."""
        now_ns, packet = received.received_ns, received.packet
        self.at(now_ns)
        if packet.message_type is MessageType.HEARTBEAT:
            if packet.state not in SEEING:
                self._lose(now_ns)
            return
        hand = self._chosen(packet.hands) if packet.state in SEEING else None
        if hand is None:
            self._lose(now_ns)
            return
        known = self._held
        is_same = (
            known is not None
            and known.phase is not Phase.RELAXING
            and (known.hand.track_id, self._stream) == (hand.track_id, packet.stream_id)
        )
        if not is_same:
            self._epoch += 1
            self._from_m, self._approach = (None, 1.0) if known is None else (known.xyz_m, 0.0)
        engagement = 0.0 if known is None else known.engagement
        self._held = HeldHand(hand, self._approached_m(hand), Phase.LIVE, engagement, 0.0, self._epoch)
        self._stream, self._heard_ns, self._lost_ns = packet.stream_id, now_ns, None

    def at(self, now_ns: int) -> HeldHand | None:
        """The hand at this time, or None once it has been let go; a time before the last one counts as that."""
        now_ns = max(now_ns, self._now_ns)
        held, before_ns, self._now_ns = self._held, self._now_ns, now_ns
        if held is None:
            return None
        timing = self._timing
        lost_ns = self._heard_ns + round(timing.stale_s * 1e9)
        lost_ns = lost_ns if self._lost_ns is None else min(lost_ns, self._lost_ns)
        let_go_ns = lost_ns + round(timing.hold_s * 1e9)
        live_s = max(min(now_ns, lost_ns) - before_ns, 0) / 1e9
        relaxing_s = max(now_ns - max(let_go_ns, before_ns), 0) / 1e9
        engaged = _share(live_s, timing.engage_s)
        self._approach = min(self._approach + engaged, 1.0)
        engagement = min(held.engagement + engaged, 1.0)
        engagement = max(engagement - _share(relaxing_s, timing.relax_s), 0.0)
        phase = Phase.LIVE if now_ns < lost_ns else Phase.HELD if now_ns < let_go_ns else Phase.RELAXING
        is_gone = phase is Phase.RELAXING and engagement <= 0
        age_s = (now_ns - self._heard_ns) / 1e9
        xyz_m = self._approached_m(held.hand) if phase is Phase.LIVE else held.xyz_m
        self._held = None if is_gone else replace(held, xyz_m=xyz_m, phase=phase, engagement=engagement, age_s=age_s)
        return self._held

    def _lose(self, now_ns: int) -> None:
        self._lost_ns = now_ns if self._lost_ns is None else self._lost_ns
        self.at(now_ns)

    def _approached_m(self, hand: PacketHand) -> Float32:
        if self._from_m is None or self._approach >= 1:
            return hand.xyz_m
        return self._from_m + np.float32(self._approach) * (hand.xyz_m - self._from_m)

    def _chosen(self, hands: tuple[PacketHand, ...]) -> PacketHand | None:
        """The hand of this side that is seen and not guessed; the one that is followed already, else the surest."""
        fitting = [
            hand
            for hand in hands
            if hand.flags & HandFlags.VALID and self._handedness in (Handedness.UNKNOWN, hand.handedness)
        ]
        followed = self._held.hand.track_id if self._held is not None else None
        return max(fitting, key=lambda hand: (hand.track_id == followed, hand.confidence), default=None)


def _share(elapsed_s: float, whole_s: float) -> float:
    if elapsed_s <= 0:
        return 0.0
    return elapsed_s / whole_s if whole_s > 0 else 1.0
