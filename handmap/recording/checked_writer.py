"""rosbags' writer of ROS 2 bags in MCAP, with the checksums that it leaves out, and chunks that a killed process leaves."""

import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Final

from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import McapWriter

_CHUNK_CRC_AT: Final = 9 + 24  # after opcode and length: start time, end time, size
_FOOTER_BYTES: Final = 9 + 20 + 8
_FOOTER_CRC_AT: Final = 9 + 16
MAX_CHUNK_NS: Final = 500_000_000  # the most that SIGKILL can cost


class CheckedMcapWriter(McapWriter):
    """Writes an MCAP file in which any flipped bit is found; it can be read up to the last second while it grows.

    kept counts the messages of each channel that the kernel has taken, and thus whatever ends this process.
    """

    def __init__(self, path: Path, compression: CompressionMode) -> None:
        super().__init__(path, compression)
        self.kept: dict[int, int] = {}

    def write(self, connection: Connection, timestamp: int, data: bytes | memoryview) -> None:
        """Adds a message; closes the chunk when it is large or old."""
        super().write(connection, timestamp, data)
        if self.chunk.message_end_time - self.chunk.message_start_time >= MAX_CHUNK_NS:
            self.close_chunk()

    def close_chunk(self) -> None:
        """Writes the chunk, its checksum in it, and hands both to the kernel."""
        crc = zlib.crc32(self.chunk.bio.getbuffer())
        counts = {number: len(messages) for number, messages in self.chunk.msgs.items()}
        start = self.bio.tell()
        super().close_chunk()
        _write_crc(self.bio, start + _CHUNK_CRC_AT, crc)
        self.bio.flush()
        for number, count in counts.items():
            self.kept[number] = self.kept.get(number, 0) + count

    def close(self, version: int, metadata: str) -> None:
        """Writes index and footer, then the checksum over both."""
        super().close(version, metadata)
        with self.path.open("r+b") as file:
            footer_at = file.seek(-_FOOTER_BYTES, os.SEEK_END)
            footer = file.read()
            (summary_at,) = struct.unpack_from("<Q", footer, 9)
            file.seek(summary_at)
            crc = zlib.crc32(file.read(footer_at + _FOOTER_CRC_AT - summary_at))
            _write_crc(file, footer_at + _FOOTER_CRC_AT, crc)


class CheckedWriter(Writer):
    """Writes a ROS 2 bag whose MCAP file carries checksums."""

    STORAGE_PLUGINS = {  # noqa: RUF012  as in the base class
        StoragePlugin.MCAP: CheckedMcapWriter
    }

    def open(self) -> None:
        """Makes the folder and its file."""
        super().open()
        self._file = self.storage  # which the base class forgets when it closes it

    def kept_messages(self, connection: Connection) -> int:
        """How many messages of the connection are in the file already."""
        return self._file.kept.get(connection.id, 0) if isinstance(self._file, CheckedMcapWriter) else 0


def _write_crc(file: BinaryIO, place: int, crc: int) -> None:
    file.seek(place)
    file.write(struct.pack("<I", crc))
    file.seek(0, os.SEEK_END)
