"""Packet v1: golden bytes, round trips, and the refusal of everything that is not a packet."""

import dataclasses
import re
import struct
import timeit
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handmap.protocol.authentication import KeyRing, make_key
from handmap.protocol.control import ControlMessage, decode_control, encode_control
from handmap.protocol.fields import (
    CRC_BYTES,
    HAND_BYTES,
    HEADER_BYTES,
    MAX_HANDS,
    MAX_PACKET_BYTES,
    BlockLayout,
    ClockId,
    ControlLayout,
    ControlStatus,
    ControlType,
    DaemonState,
    FrameOfReference,
    HandFlags,
    HandLayout,
    HeaderLayout,
    Layout,
    MessageType,
    Precision,
    SkeletonLayout,
    TrailerLayout,
    codes,
)
from handmap.protocol.packet import Packet, PacketHand, decode, encode, hand_from_pose
from handmap.protocol.parts import split
from handmap.protocol.skeleton_block import HandSkeleton
from handmap.types.errors import PacketError
from handmap.types.values import Handedness, HandPose, TimestampSource
from tests.support.drawn_scenes import SOMEWHERE

GOLDEN = Path(__file__).parent / "golden_packets.txt"
REFUSED = Path(__file__).parent / "refused_packets.txt"
PROTOCOL = Path(__file__).resolve().parents[3] / "docs" / "protocol.md"


def plain_hand(track_id: int = 1, handedness: Handedness = Handedness.RIGHT) -> PacketHand:
    """A hand whose numbers are exact in float32: joint j at (j, -j, 32 + j) / 64 m."""
    j = np.arange(21, dtype=np.float32)
    xyz_m = np.stack([j, -j, 32 + j], axis=-1) / np.float32(64)
    flags = HandFlags.VALID | HandFlags.TRACKED
    return PacketHand(xyz_m, j / np.float32(1024), track_id, handedness, 0.75, 0.5, flags)


def with_skeleton(hand: PacketHand, is_size_held: bool = True) -> PacketHand:
    """The hand with a skeleton whose numbers are exact on the wire."""
    turns = np.zeros((16, 4), np.float32)
    turns[:, 3] = 1
    turns[1], turns[2] = (1, 0, 0, 0), (0, -1, 0, 0)
    k = np.arange(22, dtype=np.float32)
    skeleton = HandSkeleton(
        turns, (k - 11) * np.float32(0.1), np.array([0, 0.2, 0.6, 1], np.float32), np.array([False, True, False, True]),
        0.4, 0.1875, 0.0078125, is_size_held,
    )  # fmt: skip
    return dataclasses.replace(hand, skeleton=skeleton)


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
        "skeleton": joints_packet(with_skeleton(plain_hand())),
        "two_skeletons": joints_packet(
            with_skeleton(plain_hand(4, Handedness.LEFT)), with_skeleton(plain_hand(5), is_size_held=False)
        ),
        "one_skeleton_of_two": joints_packet(plain_hand(4, Handedness.LEFT), with_skeleton(plain_hand(5))),
        "second_part_of_three": dataclasses.replace(joints_packet(plain_hand()), part=1, part_count=3),
        "configured_frame": dataclasses.replace(
            joints_packet(plain_hand()), frame_of_reference=FrameOfReference.CONFIGURED, control_port=5655
        ),
    }


def control_cases() -> dict[str, ControlMessage]:
    """Every golden control message by name."""
    ping = ControlMessage(ControlType.PING, 0x1122334455667788, client_ns=1_000_000_007)
    pong = dataclasses.replace(
        ping, message_type=ControlType.PONG, stream_id=0x01020304, token=bytes(range(16)), received_ns=5_000_000_011,
        sent_ns=5_000_000_042,
    )  # fmt: skip
    subscribe = dataclasses.replace(ping, message_type=ControlType.SUBSCRIBE, token=bytes(range(16)), lease_s=10)
    return {
        "ping": ping,
        "pong": pong,
        "subscribe": subscribe,
        "subscribed": dataclasses.replace(pong, message_type=ControlType.SUBSCRIBED, lease_s=10),
        "subscribed_full": dataclasses.replace(pong, message_type=ControlType.SUBSCRIBED, status=ControlStatus.FULL),
        "unsubscribe": dataclasses.replace(subscribe, message_type=ControlType.UNSUBSCRIBE, lease_s=0),
        "info_request": dataclasses.replace(subscribe, message_type=ControlType.INFO_REQUEST, lease_s=0),
        "info": dataclasses.replace(pong, message_type=ControlType.INFO, info=b'{"device_name": "left arm"}'),
        "snapshot": dataclasses.replace(subscribe, message_type=ControlType.SNAPSHOT, lease_s=0),
        "snapshot_taken": dataclasses.replace(pong, message_type=ControlType.SNAPSHOT_TAKEN),
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


KEYS = KeyRing((make_key(bytes(range(32))),))
SEALED = "sealed_"


def golden_bytes() -> dict[str, bytes]:
    """Every golden datagram by name; each packet and message also sealed with the key 00 01 ... 1f."""
    packets = {
        f"{start}{name}": encode(packet, keys)
        for start, keys in (("", None), (SEALED, KEYS))
        for name, packet in golden_cases().items()
    }
    messages = {
        f"{start}{name}": encode_control(message, keys)
        for start, keys in (("", None), (SEALED, KEYS))
        for name, message in control_cases().items()
    }
    return packets | messages


@pytest.mark.parametrize("name", golden_bytes())
def test_golden_datagram_has_these_bytes(name: str) -> None:
    golden = dict(line.split(" ", 1) for line in GOLDEN.read_text().splitlines())
    keys = KEYS if name.startswith(SEALED) else None

    data = golden_bytes()[name]

    assert data.hex() == golden[name]
    if name.removeprefix(SEALED) in golden_cases():
        assert encode(decode(data, keys), keys) == data
    else:
        assert encode_control(decode_control(data, keys), keys) == data


def test_every_kind_of_datagram_has_a_golden_one() -> None:
    assert {message.message_type for message in control_cases().values()} == set(ControlType)
    assert {packet.message_type for packet in golden_cases().values()} == set(MessageType)


def test_two_hands_fit_into_a_datagram_that_is_never_fragmented() -> None:
    assert len(encode(joints_packet(plain_hand(), plain_hand(2)))) == HEADER_BYTES + 2 * HAND_BYTES + CRC_BYTES == 768
    full = joints_packet(with_skeleton(plain_hand()), with_skeleton(plain_hand(2)))
    assert len(encode(full, KEYS)) == 1172
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
    data = reseal(b"HMAP\1\0" + noise) if is_sealed else noise
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


def refused_cases() -> dict[str, tuple[bytes, str]]:
    """Datagrams that must be refused, by name, with a part of the reason."""
    empty, one, full = (
        encode(joints_packet()),
        encode(joints_packet(plain_hand())),
        encode(joints_packet(with_skeleton(plain_hand()))),
    )
    body, skeleton_at = empty[:-CRC_BYTES], HEADER_BYTES + HAND_BYTES
    far = one[: HEADER_BYTES + 16] + struct.pack("<f", np.nan) + one[HEADER_BYTES + 20 : -CRC_BYTES]
    turned = full[: skeleton_at + 4] + bytes(8) + full[skeleton_at + 12 : -CRC_BYTES]
    return {
        "nothing": (b"", "0 bytes are too short"),
        "too_short": (empty[:-5], "59 bytes are too short"),
        "other_magic": (b"OSC#" + bytes(60), "something else is sending"),
        "too_long": (changed(reseal(body + bytes(1200)), "header_bytes", 1260), "more than 1200 bytes"),
        "major_2": (changed(empty, "major", 2), r"version 2\.0 cannot be read"),
        "major_0": (changed(empty, "major", 0), r"version 0\.0 cannot be read"),
        "checksum": (empty[:-1] + b"x", "checksum does not match"),
        "incompatible_flag": (changed(empty, "incompatible", 4), "incompatible flags 0x04 are unknown"),
        "no_trailer": (changed(empty, "incompatible", 1), "too short for one that is authenticated"),
        "header_bytes": (changed(empty, "header_bytes", 8), "header of 8"),
        "header_beyond": (changed(empty, "header_bytes", 61), "after a header of 61 do not fit into the 60 bytes"),
        "hand_missing": (
            changed(empty, "hand_count", 1),
            "1 hands of 352 bytes after a header of 60 do not fit into the 60 bytes",
        ),
        "hand_bytes": (changed(one, "hand_bytes", 8), "hands of 8 bytes"),
        "message_type": (changed(empty, "message_type", 9), "message type 9 is unknown"),
        "clock": (changed(empty, "clock", 2), "clock 2 is unknown"),
        "frame_of_reference": (changed(empty, "frame_of_reference", 2), "frame of reference 2 is unknown"),
        "joint_order": (changed(empty, "joint_order", 2), "joint order 2 is unknown"),
        "part": (changed(empty, "part", 1), "part 1 of 1"),
        "part_count": (changed(empty, "part_count", 9), "part 0 of 9"),
        "half_a_block": (reseal(body + b"\1\0"), "no block"),
        "block_beyond": (reseal(body + b"\7\0\5\0"), "states 5 bytes, 0 are left"),
        "short_skeleton": (reseal(body + b"\1\0\0\0"), "skeleton of 0 bytes"),
        "skeleton_of_nobody": (reseal(body + b"\1\0\xbc\0" + bytes(188)), "skeleton of hand 0, which is not there"),
        "second_skeleton": (reseal(full[:-CRC_BYTES] + full[skeleton_at:-CRC_BYTES]), "or has one already"),
        "no_rotation": (reseal(turned), "no unit quaternions"),
        "not_finite": (reseal(far), "numbers that are not finite"),
        "handedness": (
            reseal(one[: HEADER_BYTES + 4] + b"\3" + one[HEADER_BYTES + 5 : -CRC_BYTES]),
            "handedness 3 is unknown",
        ),
    }


@pytest.mark.parametrize("name", refused_cases())
def test_each_fault_is_refused_in_one_sentence(name: str) -> None:
    listed = dict(line.rstrip("\n").split(" ", 1) for line in REFUSED.read_text().splitlines(keepends=True))
    data, sentence = refused_cases()[name]

    with pytest.raises(PacketError, match=sentence) as caught:
        decode(data)

    assert "\n" not in str(caught.value)
    assert listed[name] == data.hex()


def test_newer_minor_with_longer_header_and_hands_is_read() -> None:
    data = encode(joints_packet(plain_hand()))
    header, hand = data[:HEADER_BYTES], data[HEADER_BYTES:-CRC_BYTES]
    longer = changed(reseal(header + b"newer..." + hand + b"tail"), "header_bytes", HEADER_BYTES + 8)
    longer = changed(changed(longer, "hand_bytes", HAND_BYTES + 4), "minor", 9)

    packet = decode(longer)

    assert packet.version == (1, 9)
    assert np.array_equal(packet.hands[0].xyz_m, plain_hand().xyz_m)


def test_counters_wrap_at_32_bits() -> None:
    assert decode(encode(dataclasses.replace(joints_packet(), sequence=2**32 + 5))).sequence == 5


def test_joints_that_are_not_finite_are_never_sent() -> None:
    hand = plain_hand()
    hand.xyz_m[3, 1] = np.nan

    with pytest.raises(PacketError, match="not finite"):
        encode(joints_packet(hand))


def test_hands_that_do_not_fit_into_a_datagram_are_spread_over_several() -> None:
    hands = [with_skeleton(plain_hand(number)) for number in range(5)]

    parts = split(joints_packet(*hands))

    assert [[hand.track_id for hand in part.hands] for part in parts] == [[0, 1], [2, 3], [4]]
    assert [(part.part, part.part_count) for part in parts] == [(0, 3), (1, 3), (2, 3)]
    assert all(len(encode(part, KEYS)) <= MAX_PACKET_BYTES for part in parts)
    assert len(split(joints_packet(*hands[:2]))) == 1
    with pytest.raises(PacketError, match="5 hands, 5 of them with skeletons, do not fit"):
        encode(joints_packet(*hands))


def test_a_newer_block_is_skipped() -> None:
    body = encode(joints_packet(with_skeleton(plain_hand())))[:-CRC_BYTES]

    packet = decode(reseal(body + b"\x09\xff\x03\0new"))

    assert packet.hands[0].skeleton is not None


@pytest.mark.parametrize(
    ("field", "read"), [("state", "state"), ("precision", "precision"), ("timestamp_source", "timestamp_source")]
)
def test_a_value_that_a_newer_version_adds_reads_as_unknown(field: str, read: str) -> None:
    packet = decode(changed(encode(joints_packet(plain_hand())), field, 77))

    assert getattr(packet, read).name == "UNKNOWN"
    assert len(packet.hands) == 1


def test_skeleton_arrives_within_rounding() -> None:
    random = np.random.default_rng(7)
    turns = random.normal(size=(16, 4))
    turns *= np.sign(turns[:, 3:]) / np.linalg.norm(turns, axis=1, keepdims=True)
    angles = random.uniform(-3, 3, 22).astype(np.float32)
    hand = with_skeleton(plain_hand())
    assert hand.skeleton is not None
    sent = dataclasses.replace(hand.skeleton, quaternions=turns.astype(np.float32), angles=angles)

    (received,) = decode(encode(joints_packet(dataclasses.replace(hand, skeleton=sent)))).hands

    assert received.skeleton is not None
    assert np.abs(received.skeleton.quaternions - turns).max() < 2e-5
    assert np.abs(received.skeleton.angles - angles).max() < 6e-5  # rad
    assert received.skeleton.joint_quaternions.shape == (21, 4)
    assert np.array_equal(received.skeleton.joint_quaternions[8], received.skeleton.joint_quaternions[7])


@pytest.mark.parametrize(
    "wrong", [{"angles": np.full(22, 4, np.float32)}, {"grasp_closure": 1.1}, {"hand_length_m": np.nan}]
)
def test_a_skeleton_that_the_block_cannot_hold_is_never_sent(wrong: dict[str, Any]) -> None:
    hand = with_skeleton(plain_hand())
    assert hand.skeleton is not None

    with pytest.raises(PacketError, match="out of range"):
        encode(joints_packet(dataclasses.replace(hand, skeleton=dataclasses.replace(hand.skeleton, **wrong))))


def test_encoding_two_hands_takes_less_than_a_tenth_of_a_millisecond() -> None:
    packet = joints_packet(plain_hand(), plain_hand(2))

    best_s = min(timeit.repeat(lambda: encode(packet), number=100, repeat=10)) / 100

    assert best_s < 1e-4


TABLES = {
    HeaderLayout: "## Header",
    HandLayout: "## Hand record",
    BlockLayout: "## Blocks",
    SkeletonLayout: "The content of a **skeleton**",
    TrailerLayout: "## Authentication",
    ControlLayout: "## Control messages",
}


@pytest.mark.parametrize("layout", TABLES)
def test_protocol_page_lists_every_field_at_its_offset(layout: Layout) -> None:
    table = PROTOCOL.read_text().split(TABLES[layout], 1)[1].split("|---|---|---|---|", 1)[1].split("\n\n", 1)[0]
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", table, re.MULTILINE)
    offset, expected = 0, []

    for name, code in codes(layout).items():
        expected.append((str(offset), name))
        offset += struct.calcsize("<" + code)

    assert rows == expected
