"""What the codecs in other languages are given, and what Python makes of it, as the lines that their check programs print.

`python -m tests.support.codec_cases FOLDER` writes what clients/c/fuzz.c begins with.
"""

import functools
import random
import struct
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from handmap.protocol.authentication import tag_of
from handmap.protocol.control import ControlMessage, decode_control, encode_control
from handmap.protocol.packet import Packet, PacketHand, decode, encode
from handmap.types.errors import PacketError
from tests.handmap.protocol.test_packet import GOLDEN, KEYS, SEALED, control_cases

Record = tuple[str, bytes]  # P a packet, C a control message; p and c for a side with the key
SECRET: Final = KEYS.first
MUTATIONS: Final = 6_000
NUMBERS: Final = (b"\0\0\xc0\x7f", b"\0\0\x80\xff", b"\xff\xff\x7f\x7f", b"\0\0\0\x80")


def golden() -> dict[str, bytes]:
    """The golden datagrams by name."""
    lines = [line.split(" ", 1) for line in GOLDEN.read_text().splitlines()]
    return {name: bytes.fromhex(text) for name, text in lines}


def kind_of(name: str) -> str:
    """How a golden datagram is read."""
    kind = "c" if name.removeprefix(SEALED) in control_cases() else "p"
    return kind if name.startswith(SEALED) else kind.upper()


def with_checksum(body: bytes) -> bytes:
    """The body as a datagram."""
    return body + struct.pack("<I", zlib.crc32(body))


def resealed(data: bytes) -> bytes:
    """A datagram with a changed body, authentic again."""
    body = data[:12] + b"\1" + data[13:-24] + SECRET.key_id
    return with_checksum(body + tag_of(SECRET, body))


@functools.cache
def mutated(count: int = MUTATIONS, seed: int = 5) -> tuple[Record, ...]:
    """Golden datagrams with a few bytes changed, cut, added or repeated, nearly all with a checksum and a tag that fit."""
    chosen, names, records = random.Random(seed), golden(), []
    for _ in range(count):
        name = chosen.choice(list(names))
        body = bytearray(names[name])
        for _ in range(chosen.choice((0, 1, 1, 2, 3))):
            place = chosen.choice((chosen.randrange(len(body)), chosen.randrange(4, 60)))
            new = chosen.choice((bytes([chosen.randrange(256)]), b"\0", b"\1", chosen.choice(NUMBERS)))
            place -= place % 4 if len(new) == 4 else 0
            body[place : place + len(new)] = new
        if chosen.random() < 0.1:
            start = chosen.randrange(60, len(body) + 1)
            block = struct.pack("<BBH", chosen.choice((1, 7)), chosen.randrange(4), chosen.choice((0, 3, 188)))
            body[start:start] = chosen.choice((block, block + bytes(188), body[start : start + 192], bytes(4)))
        if chosen.random() < 0.1:
            del body[chosen.randrange(len(body)) :]
        data = bytes(body)
        if name.startswith(SEALED) and len(data) >= 84 and chosen.random() < 0.9:
            data = resealed(data)
        elif chosen.random() < 0.95:
            data = with_checksum(data[:-4])
        records.append((chosen.choice((kind_of(name), kind_of(name), kind_of(name), *"PpCc")), data))
    return tuple(records)


def write_records(path: Path, records: Sequence[Record]) -> None:
    """The file that check programs decode."""
    path.write_bytes(b"".join(kind.encode() + struct.pack("<H", len(data)) + data for kind, data in records))


def write_seeds(folder: Path) -> None:
    """Every golden datagram as a file for the fuzz target, whose first byte says to make it authentic and give it a checksum."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in golden().items():
        (folder / name).write_bytes((b"\x07" if name.startswith(SEALED) else b"\x06") + data)


def line_of(record: Record) -> str:
    """What check programs print of it: its values and what is written again, or only that it is refused."""
    kind, data = record
    keys = KEYS if kind.islower() else None
    try:
        if kind in "Pp":
            packet = decode(data, keys)
            words = _packet_words(packet)
        else:
            message = decode_control(data, keys)
            words = _control_words(message)
    except PacketError:
        return "refused"
    try:
        again = encode(packet, keys) if kind in "Pp" else encode_control(message, keys)
    except PacketError:
        again = b""
    return " ".join([*words, "again", again.hex()])


@functools.cache
def lines_of_mutated() -> tuple[str, ...]:
    """Those of `mutated`."""
    return tuple(line_of(record) for record in mutated())


def without_errors(output: str) -> list[str]:
    """The lines of a check program without the codes of its errors, which Python does not have."""
    lines = []
    for line in output.splitlines():
        if line.startswith("refused "):
            lines.append("refused")
        else:
            start, again = line.split(" again ")
            lines.append(f"{start} again {again.partition(' ')[2]}")
    return lines


def _bits(values: object) -> list[str]:
    return [f"{bits:08x}" for bits in np.asarray(values, np.float32).ravel().view(np.uint32).tolist()]


def _packet_words(packet: Packet) -> list[str]:
    numbers = (
        packet.version[1], packet.message_type, packet.state, packet.precision, packet.joint_order,
        packet.frame_of_reference, packet.clock, packet.timestamp_source, packet.compatible, packet.part, packet.part_count,
        packet.control_port, packet.stream_id, packet.sequence, packet.frame_number, packet.capture_ns, packet.publish_ns,
    )  # fmt: skip
    words = ["packet", *(str(int(number)) for number in numbers), packet.bundle_id.hex()]
    return words + [word for hand in packet.hands for word in _hand_words(hand)]


def _hand_words(hand: PacketHand) -> list[str]:
    joints = np.concatenate([hand.xyz_m, hand.expected_error_m[:, None]], axis=1)
    words = ["hand", str(hand.track_id), str(int(hand.handedness)), str(int(hand.flags))]
    words += _bits([hand.handedness_confidence, hand.confidence]) + _bits(joints)
    if (skeleton := hand.skeleton) is None:
        return words
    pinching = [str(int(is_on)) for is_on in skeleton.is_pinching]
    return [
        *words, "skeleton", str(int(skeleton.is_size_held)), *_bits(skeleton.quaternions), *_bits(skeleton.angles),
        *_bits(skeleton.pinch_strength), *pinching,
        *_bits([skeleton.grasp_closure, skeleton.hand_length_m, skeleton.hand_length_error_m]),
    ]  # fmt: skip


def _control_words(message: ControlMessage) -> list[str]:
    numbers = (message.message_type, message.status, message.lease_s, message.stream_id, message.nonce)
    times = (message.client_ns, message.received_ns, message.sent_ns)
    return ["control", *(str(int(number)) for number in numbers), message.token.hex(), *map(str, times), f"[{message.info.hex()}]"]  # fmt: skip


if __name__ == "__main__":
    write_seeds(Path(sys.argv[1]))
