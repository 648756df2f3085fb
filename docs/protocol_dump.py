"""Writes docs/protocol_dump.md: golden datagrams taken apart, every byte named, with the values that a decoder must find.

Run `python -m docs.protocol_dump`. The datagrams are those of tests/handmap/protocol/golden_packets.txt; the fields are read off the
layouts of handmap/protocol/fields.py.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from handmap.protocol.fields import (
    AUTHENTICATED,
    BlockLayout,
    ControlLayout,
    ControlType,
    HandLayout,
    HeaderLayout,
    Layout,
    SkeletonLayout,
    TrailerLayout,
    codes,
)
from handmap.protocol.packet import decode
from handmap.types.errors import PacketError
from handmap.types.joints import HAND21

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "handmap" / "protocol" / "golden_packets.txt"
REFUSED = GOLDEN.with_name("refused_packets.txt")
PAGE = Path(__file__).with_name("protocol_dump.md")
SHOWN = {
    "heartbeat_no_camera": "A heartbeat: the daemon has no camera.",
    "sealed_skeleton": "One right hand with a skeleton, authenticated with the key 00 01 02 ... 1f.",
    "ping": "A receiver asks for the time and a token.",
    "pong": "The daemon answers.",
}
INTRODUCTION = """# Datagrams, byte by byte

Some of the golden datagrams of [protocol 1.0](protocol.md), as `python -m docs.protocol_dump` takes them apart. All of
them are in `tests/handmap/protocol/golden_packets.txt`, one per line: a name and the bytes in hexadecimal.
"""
REFUSALS = """## Datagrams to refuse

In `tests/handmap/protocol/refused_packets.txt`, one per line. The checksum fits in all but the first four and
`checksum`. What the reference codec says of each:

| name | bytes | why |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    golden = {name: bytes.fromhex(data) for name, data in (line.split() for line in GOLDEN.read_text().splitlines())}
    parts = [INTRODUCTION]
    for name, text in SHOWN.items():
        rows = list(_rows(golden[name]))
        shown = "\n".join(line for row in rows for line in _lines(*row))
        parts.append(f"## {name}\n\n{text} {len(golden[name])} bytes.\n\n```text\n{shown}\n```\n")
    parts.append(
        REFUSALS
        + "\n".join(
            _refused(*line.rstrip("\n").split(" ", 1)) for line in REFUSED.read_text().splitlines(keepends=True)
        )
    )
    return "\n".join(parts) + "\n"


def _refused(name: str, data: str) -> str:
    try:
        decode(bytes.fromhex(data))
    except PacketError as error:
        return f"| `{name}` | {len(data) // 2} | {str(error).removeprefix('packet: ').removeprefix('packet 7: ')} |"
    raise AssertionError(f"{name} is accepted")


Row = tuple[int, bytes, str, str]


def _rows(data: bytes) -> Iterator[Row]:
    end = len(data) - 4
    is_control = data[8] >= min(ControlType)
    yield from _fields(ControlLayout if is_control else HeaderLayout, data, 0)
    trailer = end - 20 if data[12] & AUTHENTICATED else end
    at = int.from_bytes(data[6:8], "little")
    for _ in range(0 if is_control else data[9]):
        yield from _fields(HandLayout, data, at)
        for joint, name in enumerate(HAND21):
            start = at + 16 + 16 * joint
            values = struct.unpack_from("<4f", data, start)
            yield start, data[start : start + 16], name, " ".join(f"{value:g}" for value in values)
        at += int.from_bytes(data[18:20], "little")
    while at < trailer:
        yield from _fields(BlockLayout, data, at)
        yield from _fields(SkeletonLayout, data, at + 4)
        at += 4 + int.from_bytes(data[at + 2 : at + 4], "little")
    if trailer < end:
        yield from _fields(TrailerLayout, data, trailer)
    yield end, data[end:], "CRC-32", f"{int.from_bytes(data[end:], 'little'):#010x}"


def _fields(layout: Layout, data: bytes, at: int) -> Iterator[Row]:
    for name, code in codes(layout).items():
        size = struct.calcsize("<" + code)
        (value,) = struct.unpack_from("<" + code, data, at)
        yield at, data[at : at + size], name, _value(name, value)
        at += size


def _value(name: str, value: object) -> str:
    if not isinstance(value, bytes):
        return f"{value:#010x}" if name == "stream_id" else f"{value:#018x}" if name == "nonce" else f"{value}"
    if name == "magic":
        return value.decode()
    if name in ("quaternions", "angles"):
        numbers = struct.unpack(f"<{len(value) // 2}h", value)
        return f"{' '.join(map(str, numbers[:8]))} ..."
    return " ".join(map(str, value)) if name == "pinch_strength" else ""


def _lines(offset: int, data: bytes, field: str, value: str) -> Iterator[str]:
    yield f"{offset:>4}  {data[:16].hex():<34}  {field:<22}  {value}".rstrip()
    for start in range(16, len(data), 16):
        yield f"{offset + start:>4}  {data[start : start + 16].hex()}"


if __name__ == "__main__":
    PAGE.write_text(page())
