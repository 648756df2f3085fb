"""Packet v1, the only thing on the wire: how 21 metric joints become UDP bytes and back.

The specification is docs/protocol.md.

Sockets are not here: runtime/publish.py sends, handmap/client/receive.py receives.
"""

import math
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeVar

import numpy as np

from handmap.protocol.fields import (
    CRC,
    CRC_BYTES,
    HAND,
    HAND_BYTES,
    HEADER,
    HEADER_BYTES,
    KNOWN_INCOMPATIBLE,
    MAGIC,
    MAJOR,
    MAX_HANDS,
    MAX_PACKET_BYTES,
    MINOR,
    NO_BUNDLE,
    ClockId,
    DaemonState,
    FrameOfReference,
    HandFlags,
    HandLayout,
    HeaderLayout,
    JointOrder,
    MessageType,
    Precision,
)
from handmap.types.arrays import Float32
from handmap.types.errors import PacketError
from handmap.types.joints import JOINT_COUNT
from handmap.types.values import Handedness, HandPose, TimestampSource

_U32: Final = 0xFFFF_FFFF


@dataclass(frozen=True, eq=False)
class PacketHand:
    """One hand on the wire: joints (21, 3) float32 and their expected errors (21,) float32, both in meters."""

    xyz_m: Float32
    expected_error_m: Float32
    track_id: int
    handedness: Handedness
    handedness_confidence: float
    confidence: float
    flags: HandFlags


@dataclass(frozen=True, eq=False)
class Packet:
    """One packet. stream_id is random per sender start, so a receiver can distinguish a restart from loss; sequence counts packets."""

    message_type: MessageType
    state: DaemonState
    stream_id: int
    sequence: int
    frame_number: int
    capture_ns: int
    publish_ns: int
    hands: tuple[PacketHand, ...] = ()
    bundle_id: bytes = NO_BUNDLE
    precision: Precision = Precision.NONE
    joint_order: JointOrder = JointOrder.HAND21
    frame_of_reference: FrameOfReference = FrameOfReference.CAMERA
    clock: ClockId = ClockId.MONOTONIC
    timestamp_source: TimestampSource = TimestampSource.ARRIVAL
    compatible: int = 0
    version: tuple[int, int] = (MAJOR, MINOR)


def hand_from_pose(pose: HandPose) -> PacketHand:
    """Converts a tracker pose, in mm, to a hand on the wire, in meters."""
    flags = HandFlags.VALID if pose.is_valid else HandFlags.NONE
    if pose.is_tracked:
        flags |= HandFlags.TRACKED
    if pose.is_extrapolated:
        flags |= HandFlags.EXTRAPOLATED
    return PacketHand(
        xyz_m=(pose.xyz_camera_mm * np.float32(1e-3)).astype(np.float32),
        expected_error_m=(pose.expected_error_mm * np.float32(1e-3)).astype(np.float32),
        track_id=pose.track_id,
        handedness=pose.handedness,
        handedness_confidence=pose.handedness_confidence,
        confidence=pose.confidence,
        flags=flags,
    )


def encode(packet: Packet) -> bytes:
    """The bytes of a packet, CRC included; counters wrap at 32 bits.

    Raises PacketError if this version cannot express the packet: too many hands, or numbers that are not finite.
    """
    if len(packet.hands) > MAX_HANDS:
        raise PacketError(
            f"packet {packet.sequence}: {len(packet.hands)} hands do not fit into {MAX_PACKET_BYTES} bytes, at most "
            f"{MAX_HANDS} do"
        )
    header = HEADER.pack(
        MAGIC, *packet.version, HEADER_BYTES,
        packet.message_type, len(packet.hands), packet.joint_order, packet.precision,
        0, packet.compatible, packet.state, packet.frame_of_reference,
        packet.clock, packet.timestamp_source, HAND_BYTES,
        packet.stream_id & _U32, packet.sequence & _U32, packet.frame_number & _U32,
        packet.capture_ns, packet.publish_ns, packet.bundle_id,
    )  # fmt: skip
    body = header + b"".join([_encode_hand(hand, packet.sequence) for hand in packet.hands])
    return body + CRC.pack(zlib.crc32(body))


def decode(data: bytes) -> Packet:
    """The packet that `data`, one whole datagram, holds.

    Unknown compatible flags and longer headers or hand records of a newer minor version are accepted and skipped.
    Raises PacketError for anything that is not a whole, intact packet of a version that can be read.
    """
    header = _decode_header(data)
    starts = [header.header_bytes + index * header.hand_bytes for index in range(header.hand_count)]
    return Packet(
        message_type=_named(MessageType, header.message_type, "message type"),
        state=_named(DaemonState, header.state, "state"),
        stream_id=header.stream_id,
        sequence=header.sequence,
        frame_number=header.frame_number,
        capture_ns=header.capture_ns,
        publish_ns=header.publish_ns,
        hands=tuple(_decode_hand(data, start) for start in starts),
        bundle_id=header.bundle_id,
        precision=_named(Precision, header.precision, "precision"),
        joint_order=_named(JointOrder, header.joint_order, "joint order"),
        frame_of_reference=_named(FrameOfReference, header.frame_of_reference, "frame of reference"),
        clock=_named(ClockId, header.clock, "clock"),
        timestamp_source=_named(TimestampSource, header.timestamp_source, "timestamp source"),
        compatible=header.compatible,
        version=(header.major, header.minor),
    )


def _encode_hand(hand: PacketHand, sequence: int) -> bytes:
    joints = np.empty((JOINT_COUNT, 4), "<f4")
    joints[:, :3] = hand.xyz_m
    joints[:, 3] = hand.expected_error_m
    if not (np.isfinite(joints).all() and math.isfinite(hand.handedness_confidence) and math.isfinite(hand.confidence)):
        raise PacketError(
            f"packet {sequence}: hand {hand.track_id} has joints that are not finite; leave out a lost hand instead "
            "of sending it"
        )
    head = HAND.pack(hand.track_id & _U32, hand.handedness, hand.flags, 0, hand.handedness_confidence, hand.confidence)
    return head + joints.tobytes()


def _decode_header(data: bytes) -> HeaderLayout:
    """The header of a datagram, with checksum, version and lengths verified."""
    if len(data) < HEADER_BYTES + CRC_BYTES:
        raise PacketError(
            f"packet: {len(data)} bytes are too short, the smallest packet has {HEADER_BYTES + CRC_BYTES}"
        )
    if len(data) > MAX_PACKET_BYTES:
        raise PacketError(
            f"packet: more than {MAX_PACKET_BYTES} bytes, which no packet has; something else is sending to this port"
        )
    header = HeaderLayout._make(HEADER.unpack_from(data))
    if header.magic != MAGIC:
        raise PacketError(
            f"packet: starts with {header.magic!r} instead of {MAGIC!r}; something else is sending to this port"
        )
    if header.major != MAJOR:
        raise PacketError(
            f"packet: version {header.major}.{header.minor} cannot be read, this program reads {MAJOR}.x; install "
            "the same HandMap version on both ends"
        )
    (crc,) = CRC.unpack_from(data, len(data) - CRC_BYTES)
    if crc != zlib.crc32(memoryview(data)[:-CRC_BYTES]):
        raise PacketError(
            f"packet {header.sequence}: the checksum does not match, the {len(data)} bytes were damaged or truncated in transit"
        )
    if unknown := header.incompatible & ~KNOWN_INCOMPATIBLE:
        raise PacketError(
            f"packet {header.sequence}: incompatible flags {unknown:#04x} are unknown to version {MAJOR}.{MINOR}; "
            "update the receiver"
        )
    if header.header_bytes < HEADER_BYTES or header.hand_bytes < HAND_BYTES:
        raise PacketError(
            f"packet {header.sequence}: states a header of {header.header_bytes} and hands of {header.hand_bytes} bytes, "
            f"version {MAJOR}.{MINOR} has at least {HEADER_BYTES} and {HAND_BYTES}"
        )
    stated_bytes = header.header_bytes + header.hand_count * header.hand_bytes + CRC_BYTES
    if stated_bytes != len(data):
        raise PacketError(
            f"packet {header.sequence}: {header.hand_count} hands of {header.hand_bytes} bytes after a header of "
            f"{header.header_bytes} "
            f"make {stated_bytes} bytes, found {len(data)}"
        )
    return header


def _decode_hand(data: bytes, start: int) -> PacketHand:
    """The hand record that begins at byte `start`; its arrays are copies."""
    head = HandLayout._make(HAND.unpack_from(data, start))
    joints = np.frombuffer(data, "<f4", JOINT_COUNT * 4, start + HAND.size).reshape(JOINT_COUNT, 4)
    if not (np.isfinite(joints).all() and math.isfinite(head.handedness_confidence) and math.isfinite(head.confidence)):
        raise PacketError(f"packet: hand {head.track_id} has numbers that are not finite")
    return PacketHand(
        xyz_m=joints[:, :3].astype(np.float32),
        expected_error_m=joints[:, 3].astype(np.float32),
        track_id=head.track_id,
        handedness=_named(Handedness, head.handedness, "handedness"),
        handedness_confidence=head.handedness_confidence,
        confidence=head.confidence,
        flags=HandFlags(head.flags),
    )


_EnumT = TypeVar("_EnumT", bound=IntEnum)


def _named(kind: type[_EnumT], value: int, what: str) -> _EnumT:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(f"{item.value} {item.name}" for item in kind)
        raise PacketError(f"packet: {what} {value} is unknown to version {MAJOR}.{MINOR}; known are {known}") from None
