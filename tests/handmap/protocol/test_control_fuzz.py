"""Control messages against hostile bytes: judged as docs/protocol.md says, answered with nothing longer, and never with an exception.

The oracle is written from that page and shares no code with the decoder.
"""

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handmap.protocol.control import ControlMessage, decode_control, encode_control
from handmap.protocol.fields import ControlType
from handmap.types.errors import PacketError
from runtime.control import ControlPort
from runtime.publish_config import ControlConfig
from tests.handmap.protocol.test_packet import KEYS, control_cases
from tests.support.processes import free_port

ADDRESS = ("192.0.2.1", 4711)
REQUESTS = {
    ControlType.PING, ControlType.SUBSCRIBE, ControlType.UNSUBSCRIBE, ControlType.INFO_REQUEST, ControlType.SNAPSHOT,
}  # fmt: skip
SEEDS = [encode_control(message, keys) for message in control_cases().values() for keys in (None, KEYS)]


def is_message(data: bytes) -> bool:
    if not 64 <= len(data) <= 1200 or data[:4] != b"HMAP" or data[4] != 1:
        return False
    if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little") or data[12] > 1:
        return False
    end = len(data) - (24 if data[12] else 4)
    if end < 72 or not 72 <= int.from_bytes(data[6:8], "little") <= end:
        return False
    return 16 <= data[8] <= 24 and data[9] <= 3


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    body = bytearray(draw(st.sampled_from(SEEDS))[:-4])
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(body) - 1) | st.integers(4, 13))
        new = draw(st.binary(min_size=1, max_size=2))
        body[place : place + len(new)] = new
    if draw(st.integers(0, 5)) == 0:
        body = body[: draw(st.integers(0, len(body)))] + draw(st.binary(max_size=40))
    return sealed(bytes(body)) if draw(st.integers(0, 9)) else bytes(body) + draw(st.binary(min_size=4, max_size=4))


@settings(max_examples=5000, deadline=None)
@given(mutations())
def test_every_message_is_judged_as_the_page_says(data: bytes) -> None:
    if is_message(data):
        message = decode_control(data)
        assert message.message_type == data[8] and message.nonce == int.from_bytes(data[24:32], "little")
        assert message.token == data[32:48]
    else:
        with pytest.raises(PacketError) as caught:
            decode_control(data)
        assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def port() -> ControlPort:
    opened = ControlPort(ControlConfig(port=free_port()), None, 77, lambda: b'{"a": 1}')
    opened.close()
    return opened


@settings(max_examples=5000, deadline=None)
@given(mutations())
def test_no_answer_is_longer_than_what_it_answers(port: ControlPort, data: bytes) -> None:
    answer = port.answer(data, ADDRESS, 5)

    if answer is not None:
        assert len(answer) <= len(data) and is_message(data)
        assert data[8] in REQUESTS
    assert port.subscribers == ()


@pytest.mark.parametrize("message", [message for message in control_cases().values()], ids=list(control_cases()))
def test_every_flipped_bit_and_every_truncation_is_refused(message: ControlMessage) -> None:
    for keys in (None, KEYS):
        data = encode_control(message, keys)
        for bit in range(len(data) * 8):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << (bit % 8)
            with pytest.raises(PacketError):
                decode_control(bytes(flipped), keys)
        for length in range(len(data)):
            with pytest.raises(PacketError):
                decode_control(data[:length], keys)
