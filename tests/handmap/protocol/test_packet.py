"""Packet v1: golden bytes, round trips, and the refusal of everything that is not a packet."""

import dataclasses
import re
import struct
import timeit
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handmap.protocol.fields import (
    CRC_BYTES,
    HAND_BYTES,
    HEADER_BYTES,
    MAX_HANDS,
    MAX_PACKET_BYTES,
    ClockId,
    DaemonState,
    FrameOfReference,
    HandFlags,
    HandLayout,
    HeaderLayout,
    MessageType,
    Precision,
    codes,
)
from handmap.protocol.packet import Packet, PacketHand, decode, encode, hand_from_pose
from handmap.types.errors import PacketError
from handmap.types.values import Handedness, HandPose, TimestampSource
from tests.support.drawn_scenes import SOMEWHERE

GOLDEN = Path(__file__).parent / "golden_packets.txt"
PROTOCOL = Path(__file__).resolve().parents[3] / "docs" / "protocol.md"


def plain_hand(track_id: int = 1, handedness: Handedness = Handedness.RIGHT) -> PacketHand:
    """A hand whose numbers are exact in float32: joint j at (j, -j, 32 + j) / 64 m."""
    j = np.arange(21, dtype=np.float32)
    xyz_m = np.stack([j, -j, 32 + j], axis=-1) / np.float32(64)
    flags = HandFlags.VALID | HandFlags.TRACKED
    return PacketHand(xyz_m, j / np.float32(1024), track_id, handedness, 0.75, 0.5, flags)


def joints_packet(*hands: PacketHand) -> Packet:
    """A packet with a nonzero value in every field."""
    state = DaemonState.TRACKING if hands else DaemonState.NO_HAND
    return Packet(
        MessageType.JOINTS, state, 0x01020304, 7, 99, 1_000_000_007, 1_000_500_009, hands, b"bundleID", Precision.FP16,
        timestamp_source=TimestampSource.RECORDING,
    )  # fmt: skip


def golden_cases() -> dict[str, Packet]:
    """Every golden packet by name."""
    beat = Packet(MessageType.HEARTBEAT, DaemonState.NO_CAMERA, 5, 2, 0, 0, 10**12)
    return {
        "heartbeat_no_camera": beat,
        "heartbeat_starting": dataclasses.replace(beat, state=DaemonState.STARTING, sequence=0),
        "heartbeat_stopping": dataclasses.replace(beat, state=DaemonState.STOPPING, sequence=2**32 - 1),
        "no_hand": joints_packet(),
        "one_right_hand": joints_packet(plain_hand()),
        "left_and_right": joints_packet(plain_hand(4, Handedness.LEFT), plain_hand(5)),
        "degraded_extrapolated": dataclasses.replace(
            joints_packet(dataclasses.replace(plain_hand(), flags=HandFlags.EXTRAPOLATED)), state=DaemonState.DEGRADED
        ),
        "negative_capture_time": dataclasses.replace(joints_packet(), capture_ns=-1),
        "int8": dataclasses.replace(joints_packet(plain_hand()), precision=Precision.INT8),
        "unknown_compatible_flag": dataclasses.replace(joints_packet(), compatible=0x80),
        "unknown_hand": joints_packet(plain_hand(2**32 - 1, Handedness.UNKNOWN)),
    }


def reseal(body: bytes) -> bytes:
    """The bytes with a valid checksum."""
    return body + struct.pack("<I", zlib.crc32(body))


def changed(data: bytes, field: str, value: int) -> bytes:
    """A packet with one header field overwritten and a valid checksum."""
    table = codes(HeaderLayout)
    before = list(table)[: list(table).index(field)]
    start = struct.calcsize("<" + "".join(table[name] for name in before))
    packed = struct.pack("<" + table[field], value)
    return reseal(data[:start] + packed + data[start + len(packed) : -CRC_BYTES])


@pytest.mark.parametrize("name", golden_cases())
def test_golden_packet_has_these_bytes(name: str) -> None:
    golden = dict(line.split(" ", 1) for line in GOLDEN.read_text().splitlines())

    data = encode(golden_cases()[name])

    assert data.hex() == golden[name]
    assert encode(decode(data)) == data


def test_two_hands_fit_into_a_datagram_that_is_never_fragmented() -> None:
    assert len(encode(joints_packet(plain_hand(), plain_hand(2)))) == HEADER_BYTES + 2 * HAND_BYTES + CRC_BYTES == 764
    assert MAX_HANDS >= 2 and HEADER_BYTES + MAX_HANDS * HAND_BYTES + CRC_BYTES <= MAX_PACKET_BYTES


def test_pose_in_mm_arrives_in_meters() -> None:
    xyz_mm = np.linspace(-300, 700, 63, dtype=np.float32).reshape(21, 3)
    error_mm = np.full(21, 12.5, np.float32)
    pose = HandPose(xyz_mm, error_mm, SOMEWHERE, 3, Handedness.LEFT, 0.9, 0.8, True, False, True, 12, 34)

    (hand,) = decode(encode(joints_packet(hand_from_pose(pose)))).hands

    assert np.abs(hand.xyz_m * 1000 - xyz_mm).max() < 1e-3  # mm
    assert np.abs(hand.expected_error_m * 1000 - error_mm).max() < 1e-3  # mm
    assert hand.flags == HandFlags.VALID | HandFlags.EXTRAPOLATED
    assert (hand.track_id, hand.handedness) == (3, Handedness.LEFT)


finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
hands = st.builds(
    lambda numbers, track_id, side, sure, confidence, flags: PacketHand(
        np.array(numbers[:63], np.float32).reshape(21, 3), np.array(numbers[63:], np.float32),
        track_id, side, sure, confidence, HandFlags(flags),
    ),
    st.lists(finite, min_size=84, max_size=84), st.integers(0, 2**32 - 1), st.sampled_from(Handedness),
    finite, finite, st.integers(0, 7),
)  # fmt: skip
u32 = st.integers(0, 2**32 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
packets = st.builds(
    Packet, st.sampled_from(MessageType), st.sampled_from(DaemonState), u32, u32, u32, i64, i64,
    st.lists(hands, max_size=MAX_HANDS).map(tuple), st.binary(min_size=8, max_size=8), st.sampled_from(Precision),
    frame_of_reference=st.sampled_from(FrameOfReference), clock=st.sampled_from(ClockId),
    timestamp_source=st.sampled_from(TimestampSource), compatible=st.integers(0, 255),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(packets)
def test_every_packet_survives_the_wire(packet: Packet) -> None:
    data = encode(packet)

    back = decode(data)

    assert encode(back) == data
    for field in dataclasses.fields(Packet):
        if field.name != "hands":
            assert getattr(back, field.name) == getattr(packet, field.name)
    for sent, received in zip(packet.hands, back.hands, strict=True):
        assert np.array_equal(sent.xyz_m, received.xyz_m)
        assert np.array_equal(sent.expected_error_m, received.expected_error_m)


def test_every_flipped_bit_is_refused() -> None:
    data = encode(joints_packet(plain_hand()))

    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(PacketError):
            decode(bytes(flipped))


def test_every_truncation_is_refused() -> None:
    data = encode(joints_packet(plain_hand()))

    for length in range(len(data)):
        with pytest.raises(PacketError):
            decode(data[:length])
    with pytest.raises(PacketError, match="checksum"):
        decode(data + b"\0")


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=900), st.booleans())
def test_arbitrary_bytes_give_nothing_but_a_packet_error(noise: bytes, is_sealed: bool) -> None:
    data = reseal(b"HMAP\0\1" + noise) if is_sealed else noise
    try:
        packet = decode(data)
    except PacketError:
        return
    assert decode(encode(packet)).sequence == packet.sequence


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(6, 760), st.integers(0, 255)), min_size=1, max_size=6))
def test_mutations_with_a_fitting_checksum_give_nothing_but_a_packet_error(edits: list[tuple[int, int]]) -> None:
    body = bytearray(encode(joints_packet(plain_hand(), plain_hand(2)))[:-CRC_BYTES])
    for place, value in edits:
        body[place % len(body)] = value
    try:
        packet = decode(reseal(bytes(body)))
    except PacketError:
        return
    assert all(np.isfinite(hand.xyz_m).all() for hand in packet.hands)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "0 bytes are too short"),
        (b"OSC#" + bytes(60), "something else is sending"),
        (changed(encode(joints_packet()), "major", 2), r"version 2\.1 cannot be read"),
        (encode(joints_packet())[:-1] + b"x", "checksum does not match"),
        (changed(encode(joints_packet()), "incompatible", 4), "incompatible flags 0x04 are unknown"),
        (changed(encode(joints_packet()), "header_bytes", 8), "header of 8"),
        (changed(encode(joints_packet()), "hand_count", 1), "make 412 bytes, found 60"),
        (changed(encode(joints_packet(plain_hand())), "hand_bytes", 8), "hands of 8 bytes"),
        (changed(encode(joints_packet()), "message_type", 9), "message type 9 is unknown"),
        (changed(encode(joints_packet()), "state", 77), "state 77 is unknown"),
        (changed(encode(joints_packet()), "joint_order", 2), "joint order 2 is unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_fault_is_refused_in_one_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(PacketError, match=sentence) as caught:
        decode(data)

    assert "\n" not in str(caught.value)


def test_newer_minor_with_longer_header_and_hands_is_read() -> None:
    data = encode(joints_packet(plain_hand()))
    header, hand = data[:HEADER_BYTES], data[HEADER_BYTES:-CRC_BYTES]
    longer = changed(reseal(header + b"newer..." + hand + b"tail"), "header_bytes", HEADER_BYTES + 8)
    longer = changed(changed(longer, "hand_bytes", HAND_BYTES + 4), "minor", 9)

    packet = decode(longer)

    assert packet.version == (0, 9)
    assert np.array_equal(packet.hands[0].xyz_m, plain_hand().xyz_m)


def test_counters_wrap_at_32_bits() -> None:
    assert decode(encode(dataclasses.replace(joints_packet(), sequence=2**32 + 5))).sequence == 5


def test_joints_that_are_not_finite_are_never_sent() -> None:
    hand = plain_hand()
    hand.xyz_m[3, 1] = np.nan

    with pytest.raises(PacketError, match="not finite"):
        encode(joints_packet(hand))


def test_four_hands_do_not_fit() -> None:
    with pytest.raises(PacketError, match="4 hands do not fit"):
        encode(joints_packet(*[plain_hand()] * 4))


def test_encoding_two_hands_takes_less_than_a_tenth_of_a_millisecond() -> None:
    packet = joints_packet(plain_hand(), plain_hand(2))

    best_s = min(timeit.repeat(lambda: encode(packet), number=100, repeat=10)) / 100

    assert best_s < 1e-4


@pytest.mark.parametrize("layout", [HeaderLayout, HandLayout])
def test_protocol_page_lists_every_field_at_its_offset(layout: type[HeaderLayout] | type[HandLayout]) -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", PROTOCOL.read_text(), re.MULTILINE)
    offset = 0

    for name, code in codes(layout).items():
        assert (str(offset), name) in rows
        offset += struct.calcsize("<" + code)
