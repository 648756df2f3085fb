"""Packets, what the daemon publishes: how 21 metric joints become UDP bytes and back.

The specification is docs/protocol.md. Sockets are not here: runtime/publish.py sends, handmap/client/receiver.py receives.
"""

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeVar

import numpy as np

from handmap.protocol.authentication import KeyRing
from handmap.protocol.datagram import seal, unseal
from handmap.protocol.fields import (
    HAND,
    HAND_BYTES,
    HEADER,
    HEADER_BYTES,
    MAGIC,
    MAJOR,
    MAX_BODY_BYTES,
    MAX_PACKET_BYTES,
    MAX_PARTS,
    MINOR,
    NO_BUNDLE,
    SKELETON_BYTES,
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
from handmap.protocol.skeleton_block import HandSkeleton, decode_blocks, encode_skeleton
from handmap.types.arrays import Float32
from handmap.types.errors import PacketError
from handmap.types.joints import JOINT_COUNT
from handmap.types.values import Handedness, HandPose, TimestampSource

_U32: Final = 0xFFFF_FFFF
_KNOWN_FLAGS: Final = int(HandFlags.VALID | HandFlags.TRACKED | HandFlags.EXTRAPOLATED)


@dataclass(frozen=True, eq=False)
class PacketHand:
    """One hand on the wire: joints (21, 3) float32 and their expected errors (21,) float32, both in meters.

    skeleton is there if the sender fits one and has been asked to send it.
    """

    xyz_m: Float32
    expected_error_m: Float32
    track_id: int
    handedness: Handedness
    handedness_confidence: float
    confidence: float
    flags: HandFlags
    skeleton: HandSkeleton | None = None


@dataclass(frozen=True, eq=False)
class Packet:
    """One packet. stream_id is random per sender start, so a receiver can distinguish a restart from loss; sequence counts packets.

    The hands of a frame that do not fit into one datagram are spread over part_count of them, of which this is number `part`.
    control_port is where the sender answers, 0 if it does not.
    """

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
    part: int = 0
    part_count: int = 1
    control_port: int = 0


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


def encode(packet: Packet, keys: KeyRing | None = None) -> bytes:
    """The bytes of a packet, sealed if there are keys; counters wrap at 32 bits.

    Raises PacketError if this version cannot express the packet: too many hands, or numbers that are not finite.
    """
    blocks = [
        encode_skeleton(index, hand.skeleton) for index, hand in enumerate(packet.hands) if hand.skeleton is not None
    ]
    if len(packet.hands) * HAND_BYTES + len(blocks) * SKELETON_BYTES > MAX_BODY_BYTES:
        raise PacketError(
            f"packet {packet.sequence}: {len(packet.hands)} hands, {len(blocks)} of them with skeletons, do not fit into "
            f"{MAX_PACKET_BYTES} bytes; split the packet"
        )
    header = HEADER.pack(
        MAGIC, *packet.version, HEADER_BYTES,
        packet.message_type, len(packet.hands), packet.joint_order, packet.precision,
        0, packet.compatible, packet.state, packet.frame_of_reference,
        packet.clock, packet.timestamp_source, HAND_BYTES,
        packet.stream_id & _U32, packet.sequence & _U32, packet.frame_number & _U32,
        packet.capture_ns, packet.publish_ns, packet.bundle_id,
        packet.part, packet.part_count, packet.control_port,
    )  # fmt: skip
    return seal(b"".join([header, *(_encode_hand(hand, packet.sequence) for hand in packet.hands), *blocks]), keys)


def decode(data: bytes, keys: KeyRing | None = None) -> Packet:
    """The packet that `data`, one whole datagram, holds; with keys, only one that was sealed with one of them.

    Unknown compatible flags and blocks, longer headers or hand records of a newer minor version are skipped, and states, precisions
    and timestamp sources that it adds read as UNKNOWN.
    Raises PacketError for anything that is not a whole, intact packet of a version that can be read.
    """
    body = unseal(data, keys)
    header = _decode_header(body)
    starts = [header.header_bytes + index * header.hand_bytes for index in range(header.hand_count)]
    skeletons = decode_blocks(body, header.header_bytes + header.hand_count * header.hand_bytes, header.hand_count)
    return Packet(
        message_type=_named(MessageType, header.message_type, "message type"),
        state=_known(DaemonState, header.state),
        stream_id=header.stream_id,
        sequence=header.sequence,
        frame_number=header.frame_number,
        capture_ns=header.capture_ns,
        publish_ns=header.publish_ns,
        hands=tuple(_decode_hand(body, start, skeletons.get(index)) for index, start in enumerate(starts)),
        bundle_id=header.bundle_id,
        precision=_known(Precision, header.precision),
        joint_order=_named(JointOrder, header.joint_order, "joint order"),
        frame_of_reference=_named(FrameOfReference, header.frame_of_reference, "frame of reference"),
        clock=_named(ClockId, header.clock, "clock"),
        timestamp_source=_known(TimestampSource, header.timestamp_source),
        compatible=header.compatible,
        version=(header.major, header.minor),
        part=header.part,
        part_count=header.part_count,
        control_port=header.control_port,
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


def _decode_header(body: bytes) -> HeaderLayout:
    """The header of an intact body, with its lengths verified."""
    header = HeaderLayout._make(HEADER.unpack_from(body))
    if header.header_bytes < HEADER_BYTES or header.hand_bytes < HAND_BYTES:
        raise PacketError(
            f"packet {header.sequence}: states a header of {header.header_bytes} and hands of {header.hand_bytes} bytes, "
            f"version {MAJOR}.{MINOR} has at least {HEADER_BYTES} and {HAND_BYTES}"
        )
    if header.header_bytes + header.hand_count * header.hand_bytes > len(body):
        raise PacketError(
            f"packet {header.sequence}: {header.hand_count} hands of {header.hand_bytes} bytes after a header of "
            f"{header.header_bytes} do not fit into the {len(body)} bytes found"
        )
    if not header.part < header.part_count <= MAX_PARTS:
        raise PacketError(
            f"packet {header.sequence}: states to be part {header.part} of {header.part_count}, a frame has 1 to {MAX_PARTS}, "
            "counted from 0"
        )
    return header


def _decode_hand(data: bytes, start: int, skeleton: HandSkeleton | None) -> PacketHand:
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
        flags=HandFlags(head.flags & _KNOWN_FLAGS),
        skeleton=skeleton,
    )


_EnumT = TypeVar("_EnumT", bound=IntEnum)


def _named(kind: type[_EnumT], value: int, what: str) -> _EnumT:
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(f"{item.value} {item.name}" for item in kind)
        raise PacketError(f"packet: {what} {value} is unknown to version {MAJOR}.{MINOR}; known are {known}") from None


def _known(kind: type[_EnumT], value: int) -> _EnumT:
    """The value, or UNKNOWN for one that a newer version has added; only for what no joint's meaning depends on."""
    try:
        return kind(value)
    except ValueError:
        return kind["UNKNOWN"]
