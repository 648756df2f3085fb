"""Reads one MCAP file: https://mcap.dev/spec. Every checksum that the file has is compared.

rosbags and the `mcap` package decode every definition and attachment that they meet, and refuse the whole file for one they
cannot; this reads topics and messages only.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from rosbags.rosbag2.storage_mcap import DECOMPRESSORS

from handmap.recording.bag_file import Message, Topic, full_type, recorded_order

MAGIC: Final = b"\x89MCAP0\r\n"
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 2, 3, 4, 5, 6
_CHUNK_INDEX, _STATISTICS, _DATA_END = 8, 11, 15
_FOOTER_BYTES: Final = 9 + 20 + len(MAGIC)
MAX_RECORD_BYTES: Final = 2**31


class McapError(Exception):
    """The bytes are no whole MCAP file."""


@dataclass(frozen=True)
class _Channel:
    topic: str
    msgtype: str
    encoding: str


class McapFile:
    """An open MCAP file. Without an index, as recorders in a hurry leave it, it is read through once to count.

    Without an end, as a killed recorder leaves it, it is read up to the first record that is not whole; `lost_bytes` follow.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._schemas: dict[int, str] = {0: ""}
        self._channels: dict[int, _Channel] = {}
        self._counts: dict[int, int] = {}
        self._chunks: list[int] = []
        self.is_cut = False
        self.lost_bytes = 0
        try:
            self._end = self._read_summary()
            if not self._counts:
                self._count()
        except BaseException:
            self._file.close()
            raise

    @property
    def topics(self) -> tuple[Topic, ...]:
        """See `BagFile`."""
        return tuple(
            Topic(one.topic, one.msgtype, one.encoding, self._counts.get(number, 0))
            for number, one in self._channels.items()
        )

    def messages(self, topics: frozenset[str]) -> Iterator[Message]:
        """See `BagFile`."""
        for number, log_ns, data in self._records(topics):
            channel = self._channels[number]
            yield Message(channel.topic, channel.msgtype, channel.encoding, log_ns, data)

    def close(self) -> None:
        """See `BagFile`."""
        self._file.close()

    def _read_summary(self) -> int:
        """Reads topics, counts and chunks from the end of the file; returns where its messages end."""
        size = self._file.seek(0, 2)
        self._file.seek(max(size - _FOOTER_BYTES, 0))
        footer = self._file.read()
        if len(footer) != _FOOTER_BYTES or footer[-8:] != MAGIC or footer[:9] != struct.pack("<BQ", _FOOTER, 20):
            self.is_cut = True
            return size
        start, _, crc = struct.unpack("<QQI", footer[9:29])
        if not start:
            return size - _FOOTER_BYTES
        if not len(MAGIC) < start <= size - _FOOTER_BYTES:
            raise McapError("its index is damaged")
        self._file.seek(start)
        summary = self._file.read(size - _FOOTER_BYTES - start)
        if crc and zlib.crc32(footer[:25], zlib.crc32(summary)) != crc:
            raise McapError("the checksum of its index does not match")
        for opcode, content in _split(summary):
            self._learn(opcode, content)
        return int(start)

    def _learn(self, opcode: int, content: bytes) -> None:
        """Takes a schema, a channel, an entry of the index or the counts."""
        if opcode == _SCHEMA:
            (number,) = struct.unpack_from("<H", content)
            self._schemas[number] = full_type(_string(content, 2)[0])
        elif opcode == _CHANNEL:
            number, schema = struct.unpack_from("<HH", content)
            topic, place = _string(content, 4)
            self._channels[number] = _Channel(topic, self._schemas.get(schema, ""), _string(content, place)[0])
        elif opcode == _CHUNK_INDEX:
            self._chunks.append(struct.unpack_from("<Q", content, 16)[0])
        elif opcode == _STATISTICS:
            (length,) = struct.unpack_from("<I", content, 42)
            self._counts.update(struct.iter_unpack("<HQ", content[46 : 46 + length]))

    def _count(self) -> None:
        """Counts the messages of each channel, and finds where a file that was cut can no longer be read."""
        place = len(MAGIC)
        try:
            for place, opcode, content in self._parts():
                for channel, _, _ in list(self._of_part(opcode, content, None)):
                    self._counts[channel] = self._counts.get(channel, 0) + 1
                place += 9 + len(content)
        except Exception:
            if not self.is_cut:
                raise
            self.lost_bytes, self._end = self._end - place, place

    def _records(self, topics: frozenset[str]) -> Iterator[tuple[int, int, bytes]]:
        """Channel, log time and data of the messages of these topics."""
        for _, opcode, content in self._parts():
            yield from self._of_part(opcode, content, topics)

    def _parts(self) -> Iterator[tuple[int, int, bytes]]:
        """Place, opcode and content of the records that messages are in: by the index, else one after another."""
        for start in sorted(self._chunks):
            opcode, content = _read_record(self._file, start)
            if opcode != _CHUNK:
                raise McapError("its index leads nowhere")
            yield start, opcode, content
        place = len(MAGIC)
        while not self._chunks and place < self._end:
            opcode, content = _read_record(self._file, place)
            if opcode == _DATA_END:
                return
            yield place, opcode, content
            place += 9 + len(content)

    def _of_part(self, opcode: int, content: bytes, topics: frozenset[str] | None) -> Iterator[tuple[int, int, bytes]]:
        """The messages of one record; of the other records, what is learned is kept."""
        if opcode == _CHUNK:
            yield from self._of_chunk(content, topics)
        elif opcode == _MESSAGE:
            yield from self._of_records([(opcode, content)], topics)
        else:
            self._learn(opcode, content)

    def _of_chunk(self, content: bytes, topics: frozenset[str] | None) -> Iterator[tuple[int, int, bytes]]:
        size, crc = struct.unpack_from("<QI", content, 16)
        compression, place = _string(content, 28)
        if compression not in DECOMPRESSORS:
            raise McapError(f"its compression {compression!r} is not known")
        if size > MAX_RECORD_BYTES:
            raise McapError(f"a part of it is said to hold {size} bytes")
        records = DECOMPRESSORS[compression](content[place + 8 :], size)
        if len(records) != size or (crc and zlib.crc32(records) != crc):
            raise McapError("the checksum of a part of it does not match")
        yield from self._of_records(list(_split(records)), topics)

    def _of_records(
        self, records: list[tuple[int, bytes]], topics: frozenset[str] | None
    ) -> Iterator[tuple[int, int, bytes]]:
        found = []
        for opcode, content in records:
            if opcode != _MESSAGE:
                self._learn(opcode, content)
                continue
            number, _, log_ns = struct.unpack_from("<HIQ", content)
            if number not in self._channels:
                raise McapError(f"a message belongs to no topic ({number})")
            if topics is None or self._channels[number].topic in topics:
                found.append((number, log_ns, content))
        for place in recorded_order([log_ns for _, log_ns, _ in found]):
            number, log_ns, content = found[place]
            yield number, log_ns, content[22:]


def _read_record(file: BinaryIO, place: int) -> tuple[int, bytes]:
    file.seek(place)
    head = file.read(9)
    if len(head) < 9:
        raise McapError("it ends within a record")
    opcode, size = struct.unpack("<BQ", head)
    if not opcode:
        raise McapError("a record of it is empty")
    if size > MAX_RECORD_BYTES:
        raise McapError(f"a record is said to hold {size} bytes")
    content = file.read(size)
    if len(content) < size:
        raise McapError("it ends within a record")
    return opcode, content


def _split(records: bytes) -> Iterator[tuple[int, bytes]]:
    """The records that lie one after another."""
    place = 0
    while place < len(records):
        if place + 9 > len(records):
            raise McapError("it ends within a record")
        opcode, size = struct.unpack_from("<BQ", records, place)
        place += 9
        if size > len(records) - place:
            raise McapError("it ends within a record")
        yield opcode, records[place : place + size]
        place += size


def _string(content: bytes, place: int) -> tuple[str, int]:
    """A string with its length before it, and where it ends; bytes that are no UTF-8 are shown as such."""
    (length,) = struct.unpack_from("<I", content, place)
    end = place + 4 + length
    return content[place + 4 : end].decode(errors="backslashreplace"), end
