"""Messages of the preview: they come back as they were, and nothing else does."""

import zlib
from contextlib import suppress

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handmap.protocol.authentication import KeyRing, make_key
from handmap.protocol.preview import (
    LENGTH_BYTES,
    MAX_MESSAGE_BYTES,
    Ask,
    Hello,
    check_proof,
    decode_preview,
    encode_preview,
    inflate,
    message_bytes,
    proof,
)
from handmap.types.errors import PacketError
from handmap.types.values import Handedness
from tests.support.previews import hand_frame, hand_picture

OURS, THEIRS = (KeyRing((make_key(secret * 32),)) for secret in (b"a", b"b"))


def test_a_picture_comes_back_as_it_was() -> None:
    sent = hand_picture(Handedness.LEFT, Handedness.RIGHT)

    data = encode_preview(sent)
    found = decode_preview(data[LENGTH_BYTES:])

    assert message_bytes(data[:LENGTH_BYTES]) == len(data) - LENGTH_BYTES
    assert found == sent
    assert np.array_equal(inflate(sent), hand_frame().depth[::2, ::2])
    assert sent.intrinsics.width_px == 320 and sent.intrinsics.fx_px == hand_frame().intrinsics.fx_px / 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depth": b"none"}, "damaged"),
        ({"width_px": 321}, "bytes, wanted"),
        ({"width_px": 0}, "0x240"),
        ({"width_px": 5000, "height_px": 5000}, "5000x5000"),
    ],
)
def test_a_picture_that_is_none_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(PacketError, match=words):
        inflate(msgspec.structs.replace(hand_picture(), **changes))


def test_a_bomb_is_not_unpacked() -> None:
    with pytest.raises(PacketError, match="wanted 153600"):
        inflate(msgspec.structs.replace(hand_picture(), depth=zlib.compress(bytes(500 << 20), 9)))


@pytest.mark.parametrize("size", [0, MAX_MESSAGE_BYTES + 1, 2**32 - 1])
def test_a_length_that_cannot_be_is_refused(size: int) -> None:
    with pytest.raises(PacketError, match="is that port a preview's"):
        message_bytes(size.to_bytes(4, "little"))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_refused(content: bytes) -> None:
    with suppress(PacketError):
        decode_preview(content)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_changed_picture_is_read_or_refused(place: int, value: int) -> None:
    content = bytearray(encode_preview(hand_picture(Handedness.LEFT))[LENGTH_BYTES:])
    content[place] = value
    with suppress(PacketError):
        decode_preview(bytes(content))


def test_only_the_key_answers_a_challenge() -> None:
    hello = Hello(1, b"c" * 32, True)
    key_id, tag = proof(OURS, hello.challenge)

    check_proof(OURS, Ask(1, 10.0, key_id, tag), hello.challenge)
    with pytest.raises(PacketError, match="does not match"):
        check_proof(OURS, Ask(1, 10.0, key_id, tag), b"d" * 32)
    with pytest.raises(PacketError, match="exchange the keys"):
        check_proof(THEIRS, Ask(1, 10.0, key_id, tag), hello.challenge)
