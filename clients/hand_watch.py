"""What every bridge passes on: the left and the right hand as they are now, each live, held for a moment, or lost."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from handmap.client.hand_state import DEFAULT_TIMING, HandState, HandTiming, Phase
from handmap.client.session import PacketReceiver, Received
from handmap.protocol.fields import FrameOfReference, HandFlags, MessageType
from handmap.protocol.packet import Packet, PacketHand
from handmap.types.values import Handedness

SIDES: Final = (Handedness.LEFT, Handedness.RIGHT)
REPEAT_NS: Final = 33_333_333
REPEAT_S: Final = REPEAT_NS / 1e9  # how often a moment is passed on while no packets arrive
SILENCE_S: Final = 1.5  # a running daemon sends a heartbeat every second
NO_SKELETON: Final = (
    "-- hands arrive without skeletons, so without orientations, and what needs those is left out; set publish.skeleton: true in the "
    "daemon's configuration"
)


@dataclass(frozen=True)
class SeenHand:
    """A hand to pass on; is_live is false while it is held, that is, not heard of and not yet given up.

    sample_ns is the time of its joints, CLOCK_MONOTONIC of this machine, and sender_ns the same by the sender's clock.
    """

    hand: PacketHand
    sample_ns: int
    sender_ns: int
    is_live: bool
    frame: FrameOfReference


@dataclass(frozen=True)
class Moment:
    """Both hands of a person at now_ns, CLOCK_MONOTONIC of this machine; a lost one is None.

    is_new is false if this repeats what was known. is_restart is true if the sender has started anew since the moment before.
    """

    now_ns: int
    hands: dict[Handedness, SeenHand | None]
    is_new: bool = True
    is_restart: bool = False


Take = Callable[[Moment], None]


class HandWatch:
    """Follows the left and the right hand; hands of unknown handedness are not passed on, since every format has two sides."""

    def __init__(self, timing: HandTiming = DEFAULT_TIMING) -> None:
        self._states = {side: HandState(side, timing) for side in SIDES}
        self._seen: dict[Handedness, SeenHand] = {}

    def see(self, received: Received) -> Moment:
        """Takes in a packet; what is known then."""
        packet = received.packet
        for side, state in self._states.items():
            state.see(received)
            held = state.at(received.received_ns)
            if held is not None and any(held.hand is hand for hand in packet.hands):
                sender_ns = _sender_ns(packet, held.hand)
                sample_ns = _sample_ns(received, sender_ns)
                self._seen[side] = SeenHand(held.hand, sample_ns, sender_ns, True, packet.frame_of_reference)
        is_new = packet.message_type is MessageType.JOINTS
        return self._moment(received.received_ns, is_new, received.is_restart)

    def at(self, now_ns: int) -> Moment:
        """What is known at this time, without news."""
        return self._moment(now_ns, False, False)

    def _moment(self, now_ns: int, is_new: bool, is_restart: bool) -> Moment:
        hands: dict[Handedness, SeenHand | None] = {}
        for side, state in self._states.items():
            held = state.at(now_ns)
            seen = self._seen.get(side)
            is_shown = held is not None and seen is not None and held.phase is not Phase.RELAXING
            if held is None or seen is None or not is_shown:
                hands[side] = None
                continue
            is_live = held.phase is Phase.LIVE
            hands[side] = SeenHand(seen.hand, seen.sample_ns, seen.sender_ns, is_live, seen.frame)
        return Moment(now_ns, hands, is_new, is_restart)


def moments_of(packets: Iterable[Received]) -> Iterator[Moment]:
    """What `pass_on` gives, of packets that were received before, in their order: where none came, hands are held and then lost."""
    watch = HandWatch()
    before_ns: int | None = None
    for received in packets:
        while before_ns is not None and received.received_ns - before_ns > REPEAT_NS:
            before_ns += REPEAT_NS
            moment = watch.at(before_ns)
            yield moment
            if all(seen is None for seen in moment.hands.values()):
                break  # nothing changes until something comes
        yield watch.see(received)
        before_ns = received.received_ns


def pass_on(
    receiver: PacketReceiver, take: Take, warn: Callable[[str], None], hint: str, seconds: float | None
) -> None:
    """Gives every packet's hands to `take`, and again 30 times a second while none arrives, until `seconds` have passed.

    Warns once per silence, with a hint, and once of hands without skeletons.
    """
    watch = HandWatch()
    newest_s = time.monotonic()
    end_s = newest_s + seconds if seconds is not None else float("inf")
    is_silent = has_warned = False
    while (left_s := end_s - time.monotonic()) > 0 and not receiver.has_ended:
        received = receiver.wait(min(REPEAT_S, left_s))
        if received is None:
            take(watch.at(time.monotonic_ns()))
            if not is_silent and time.monotonic() - newest_s > SILENCE_S:
                is_silent = True
                warn(f"-- silence: nothing received for {SILENCE_S} s; {receiver.problem or hint}")
            continue
        take(watch.see(received))
        newest_s, is_silent = time.monotonic(), False
        if not has_warned and any(hand.skeleton is None for hand in received.packet.hands):
            has_warned = True
            warn(NO_SKELETON)


def _sender_ns(packet: Packet, hand: PacketHand) -> int:
    return packet.publish_ns if hand.flags & HandFlags.EXTRAPOLATED else packet.capture_ns


def _sample_ns(received: Received, sender_ns: int) -> int:
    """A time by the sender's clock on that of this machine; while the clocks' offset is not known, as if the network took no time."""
    if received.clock_offset_ns is not None:
        return sender_ns - received.clock_offset_ns
    if received.is_same_machine:
        return sender_ns
    return received.received_ns - (received.packet.publish_ns - sender_ns)
