"""Frames with more hands than a datagram can hold."""

from dataclasses import replace

from handmap.protocol.fields import HAND_BYTES, MAX_BODY_BYTES, MAX_PARTS, SKELETON_BYTES
from handmap.protocol.packet import Packet, PacketHand
from handmap.types.errors import PacketError


def split(packet: Packet) -> tuple[Packet, ...]:
    """The packet as those that each fit into a datagram, in order: itself, unless it has too many hands. Sequence numbers are the caller's.

    Raises PacketError if that makes more parts than a packet can state.
    """
    groups: list[list[PacketHand]] = [[]]
    left_bytes = MAX_BODY_BYTES
    for hand in packet.hands:
        size = HAND_BYTES + (SKELETON_BYTES if hand.skeleton is not None else 0)
        if size > left_bytes:
            groups.append([])
            left_bytes = MAX_BODY_BYTES
        groups[-1].append(hand)
        left_bytes -= size
    if len(groups) == 1:
        return (packet,)
    if len(groups) > MAX_PARTS:
        raise PacketError(
            f"packet: {len(packet.hands)} hands need {len(groups)} datagrams, a frame can have {MAX_PARTS}"
        )
    return tuple(
        replace(packet, hands=tuple(hands), part=part, part_count=len(groups)) for part, hands in enumerate(groups)
    )
