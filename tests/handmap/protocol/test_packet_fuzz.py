"""The decoder against hostile bytes: it accepts exactly what docs/protocol.md accepts, and raises nothing but PacketError.

The oracle is written from that page, with its offsets, and shares no code with the decoder.
"""

import math
import struct
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from handmap.protocol.packet import decode, encode
from handmap.types.errors import PacketError
from tests.handmap.protocol.test_packet import KEYS, joints_packet, plain_hand, with_skeleton

KNOWN = {
    8: (1, 2),
    10: (1,),
    15: (0, 1),
    16: (1,),
}  # by byte of the header
SEEDS = [encode(joints_packet(*[plain_hand(number) for number in range(count)])) for count in range(4)] + [
    encode(joints_packet(with_skeleton(plain_hand()))),
    encode(joints_packet(plain_hand(1), with_skeleton(plain_hand(2)))),
    encode(joints_packet(with_skeleton(plain_hand())), KEYS),
]


def is_packet(data: bytes) -> bool:
    """Rule 1 of "Rules for a receiver"."""
    if not 64 <= len(data) <= 1200 or data[:4] != b"HMAP" or data[4] != 1:
        return False
    if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little") or data[12] > 1:
        return False
    if data[12] and len(data) < 84:
        return False
    end = len(data) - (24 if data[12] else 4)
    header_bytes, hand_count = int.from_bytes(data[6:8], "little"), data[9]
    hand_bytes = int.from_bytes(data[18:20], "little")
    if header_bytes < 60 or hand_bytes < 352 or header_bytes + hand_count * hand_bytes > end:
        return False
    if not data[56] < data[57] <= 8 or any(data[offset] not in known for offset, known in KNOWN.items()):
        return False
    records = [data[header_bytes + index * hand_bytes :][:352] for index in range(hand_count)]
    if not all(record[4] in (0, 1, 2) and _is_finite(record) for record in records):
        return False
    return _are_blocks(data[header_bytes + hand_count * hand_bytes : end], hand_count)


def _are_blocks(data: bytes, hand_count: int) -> bool:
    seen = set()
    while data:
        if len(data) < 4:
            return False
        size = int.from_bytes(data[2:4], "little")
        content, rest = data[4 : 4 + size], data[4 + size :]
        if len(content) < size:
            return False
        if data[0] == 1:
            if size < 188 or data[1] >= hand_count or data[1] in seen:
                return False
            seen.add(data[1])
            turns = struct.unpack("<64h", content[:128])
            squared = [sum((part / 32767) ** 2 for part in turns[k : k + 4]) for k in range(0, 64, 4)]
            if not all(abs(square - 1) < 0.01 for square in squared):
                return False
            if not all(math.isfinite(value) for value in struct.unpack("<2f", content[180:188])):
                return False
        data = rest
    return True


def _is_finite(record: bytes) -> bool:
    return all(math.isfinite(value) for value in struct.unpack("<86f", record[8:352]))


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


def decode_agrees_with_the_page(data: bytes) -> None:
    if is_packet(data):
        packet = decode(data)
        assert len(packet.hands) == data[9] and packet.sequence == int.from_bytes(data[24:28], "little")
        for index, hand in enumerate(packet.hands):
            start = int.from_bytes(data[6:8], "little") + index * int.from_bytes(data[18:20], "little")
            assert hand.track_id == int.from_bytes(data[start : start + 4], "little")
            assert hand.xyz_m[20, 2] == struct.unpack_from("<f", data, start + 16 + 20 * 16 + 8)[0]
    else:
        with pytest.raises(PacketError) as caught:
            decode(data)
        assert "\n" not in str(caught.value)


@st.composite
def layouts(draw: st.DrawFn) -> bytes:
    """A packet whose lengths may be anything: consistent ones, and ones that lie about the bytes that follow."""
    hand_count = draw(st.integers(0, 4) | st.integers(0, 255))
    hand_bytes = draw(st.sampled_from([0, 1, 351, 352, 353, 360]) | st.integers(0, 1100) | st.integers(0, 65535))
    header_bytes = draw(st.sampled_from([0, 59, 60, 61, 68]) | st.integers(0, 1200) | st.integers(0, 65535))
    body = bytearray(SEEDS[0][:60].ljust(min(header_bytes, 1300), b"\0"))
    body[9] = hand_count
    body[6:8], body[18:20] = struct.pack("<H", header_bytes), struct.pack("<H", hand_bytes)
    body += (SEEDS[1][60:412].ljust(hand_bytes, b"\1")[:hand_bytes] * hand_count)[:1300]
    error = draw(st.just(0) | st.integers(-5, 5))
    return sealed(bytes(body[: len(body) + error] if error < 0 else body + bytes(error)))


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A valid packet with a few bytes or numbers overwritten, cut or extended, and mostly with a fitting checksum."""
    body = bytearray(draw(st.sampled_from(SEEDS))[:-4])
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(body) - 1) | st.integers(4, 19))
        new = draw(
            st.binary(min_size=1, max_size=2) | st.sampled_from([b"\0\0\xc0\x7f", b"\0\0\x80\xff", b"\1", b"\0"])
        )
        if len(new) == 4:  # NaN or infinity, where the number begins
            place -= place % 4
        body[place : place + len(new)] = new
    if draw(st.integers(0, 9)) == 0:
        body = body[: draw(st.integers(0, len(body)))] + draw(st.binary(max_size=20))
    return sealed(bytes(body)) if draw(st.integers(0, 9)) else bytes(body) + draw(st.binary(min_size=4, max_size=4))


@settings(max_examples=4000, deadline=None)
@given(layouts())
def test_every_layout_is_judged_as_the_page_says(data: bytes) -> None:
    decode_agrees_with_the_page(data)


@settings(max_examples=6000, deadline=None)
@given(mutations())
def test_every_mutation_is_judged_as_the_page_says(data: bytes) -> None:
    decode_agrees_with_the_page(data)


@settings(max_examples=2000, deadline=None)
@given(st.binary(max_size=1300), st.booleans())
@example(bytes(1201), True)
def test_random_bytes_are_judged_as_the_page_says(noise: bytes, is_sealed: bool) -> None:
    decode_agrees_with_the_page(sealed(b"HMAP\1\0" + noise) if is_sealed else noise)


@pytest.mark.parametrize("hand_bytes", [0, 1, 64, 351])
def test_hand_records_too_short_are_refused_without_hands_too(hand_bytes: int) -> None:
    body = bytearray(SEEDS[0][:-4])
    body[18:20] = struct.pack("<H", hand_bytes)

    with pytest.raises(PacketError, match=f"hands of {hand_bytes} bytes"):
        decode(sealed(bytes(body)))


def test_a_packet_longer_than_any_is_refused() -> None:
    body = bytearray(SEEDS[0][:-4]) + bytes(1137)  # a longer header of a newer minor version
    body[6:8] = struct.pack("<H", 60 + 1137)

    with pytest.raises(PacketError, match="more than 1200 bytes"):
        decode(sealed(bytes(body)))
    assert decode(sealed(bytes(changed_length(body)))).hands == ()


def changed_length(body: bytearray) -> bytearray:
    """The same header, one byte shorter: 1,200 bytes in all."""
    shorter = body[:-1]
    shorter[6:8] = struct.pack("<H", 60 + 1136)
    return shorter


def test_the_mutations_reach_both_verdicts() -> None:
    assert all(is_packet(seed) for seed in SEEDS)
    assert not is_packet(SEEDS[0][:-1]) and not is_packet(SEEDS[1][:-4] + bytes(4))
