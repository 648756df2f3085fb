"""Reads protobuf messages field by field: boards and the host extra have no onnx package."""

from collections.abc import Iterator
from typing import Final

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # wire types
FIXED_BYTES: Final = {FIXED64: 8, FIXED32: 4}
MAX_VARINT_BITS: Final = 70


def read_fields(message: memoryview) -> Iterator[tuple[int, memoryview, int]]:
    """The number of each field of a protobuf message, and its bytes, or its value if it is a varint.

    Raises IndexError or KeyError if the bytes are no message, or cut short.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == VARINT:
            start = at
            value, at = _varint(message, at)
            yield key >> 3, message[start:at], value
            continue
        length = FIXED_BYTES.get(kind, 0)
        if kind == LENGTH:
            length, at = _varint(message, at)
        elif not length:
            raise KeyError(kind)
        if at + length > len(message):
            raise IndexError("cut short")
        yield key >> 3, message[at : at + length], 0
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if shift > MAX_VARINT_BITS:
            raise IndexError("no number ends")
        if byte < 0x80:
            return value, at
