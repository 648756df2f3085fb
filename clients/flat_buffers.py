"""FlatBuffers, as far as a writer of a few tables needs them: tables of scalars, structs, strings, vectors and tables.

A value is a `Table` with its fields by id, a `Scalar`, a `Struct` of ready bytes, a string, or a list of tables.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

OFFSET_BYTES = 4


@dataclass(frozen=True)
class Scalar:
    """A number by the code that the module struct has for it."""

    code: str
    value: float

    @property
    def content(self) -> bytes:
        """Its bytes, as many as it is to be aligned to."""
        return struct.pack("<" + self.code, self.value)


@dataclass(frozen=True)
class Struct:
    """The bytes of a struct, and what they are to be aligned to."""

    content: bytes
    align_bytes: int


@dataclass(frozen=True, eq=False)
class Table:
    """Fields by id; one that is absent has its default. The same object is written once, however often it is referred to."""

    fields: "Mapping[int, Value]"


Value: TypeAlias = Table | Scalar | Struct | str | list[Table]


def flat_buffer(root: Table, identifier: bytes = b"") -> bytes:
    """The bytes of a buffer with this root, and the four bytes of its identifier if it has one."""
    buffer = bytearray(OFFSET_BYTES) + identifier
    _point(buffer, 0, _Writer(buffer).write(root))
    return bytes(buffer)


class _Writer:
    """Appends values; whatever refers to one comes before it, since offsets only point ahead."""

    def __init__(self, buffer: bytearray) -> None:
        self._buffer = buffer
        self._places: dict[int, int] = {}

    def write(self, value: Table | str | list[Table]) -> int:
        """Where the value begins."""
        if isinstance(value, Table):
            if id(value) not in self._places:
                self._table(value)
            return self._places[id(value)]
        self._pad(OFFSET_BYTES, 0)
        place = len(self._buffer)
        self._buffer += struct.pack("<I", len(value))
        if isinstance(value, str):
            self._buffer += value.encode() + b"\0"
            return place
        self._buffer += bytes(OFFSET_BYTES * len(value))
        for number, item in enumerate(value):
            _point(self._buffer, place + OFFSET_BYTES * (1 + number), self.write(item))
        return place

    def _table(self, table: Table) -> None:
        """The field table, which says where each field is, then the table, then what it refers to."""
        inline, aligns = {}, {}
        for number, value in table.fields.items():
            inline[number] = value.content if isinstance(value, Scalar | Struct) else bytes(OFFSET_BYTES)
            aligns[number] = value.align_bytes if isinstance(value, Struct) else len(inline[number])
        places, size = {}, OFFSET_BYTES
        for number in sorted(inline, key=lambda number: -aligns[number]):
            places[number] = -(-size // aligns[number]) * aligns[number]
            size = places[number] + len(inline[number])
        count = max(inline, default=-1) + 1
        field_table = struct.pack("<HH", 4 + 2 * count, size)
        field_table += struct.pack(f"<{count}H", *(places.get(number, 0) for number in range(count)))
        self._pad(max(aligns.values(), default=OFFSET_BYTES), len(field_table))
        self._pad(OFFSET_BYTES, len(field_table))
        start = len(self._buffer) + len(field_table)
        self._buffer += field_table + struct.pack("<i", len(field_table)) + bytes(size - OFFSET_BYTES)
        self._places[id(table)] = start
        for number, content in inline.items():
            self._buffer[start + places[number] : start + places[number] + len(content)] = content
        for number, value in table.fields.items():
            if not isinstance(value, Scalar | Struct):
                _point(self._buffer, start + places[number], self.write(value))

    def _pad(self, align_bytes: int, before: int) -> None:
        """Zeros, so that what comes after the next `before` bytes is aligned."""
        self._buffer += bytes(-(len(self._buffer) + before) % align_bytes)


def _point(buffer: bytearray, place: int, to: int) -> None:
    struct.pack_into("<I", buffer, place, to - place)
