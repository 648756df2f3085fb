"""An MCAP file of messages in any encoding, for programs that read neither ROS nor our packets. Bags are written by writer.py."""

import struct
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final

from handmap import __version__
from handmap.files.atomic import new_folder
from handmap.types.errors import RecordingError

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_MAGIC: Final = b"\x89MCAP0\r\n"
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _STATISTICS, _DATA_END = 1, 2, 3, 4, 5, 11, 15


@dataclass
class _Facts:
    """What the summary at the end repeats."""

    records: list[bytes] = field(default_factory=list)  # schemas and channels
    schemas: int = 0
    counts: dict[int, int] = field(default_factory=dict)  # of messages, by channel
    first_ns: int = 0
    last_ns: int = 0


class MessageStream:
    """Writes an MCAP file to an opened one. Without `finish` it has no summary: programs that read from the front read it, Foxglove does not.

    name is that of the recording in errors, fate what becomes of it. Raises RecordingError if it cannot be written.
    """

    def __init__(self, file: BinaryIO, name: str, fate: str) -> None:
        self._file = file
        self._name = name
        self._fate = fate
        self._facts = _Facts()
        self._put(_MAGIC + _record(_HEADER, _text("") + _text(f"handmap {__version__}")))

    def add_schema(self, name: str, encoding: str, content: bytes) -> int:
        """The number of a schema for channels."""
        self._facts.schemas += 1
        number = self._facts.schemas
        self._declare(_SCHEMA, struct.pack("<H", number) + _text(name) + _text(encoding) + _sized(content))
        return number

    def add_channel(self, topic: str, encoding: str, schema: int, metadata: Mapping[str, str] = NOTHING) -> int:
        """The number of a channel for messages; schema 0 is none."""
        number = len(self._facts.counts)
        self._facts.counts[number] = 0
        pairs = b"".join(_text(key) + _text(value) for key, value in metadata.items())
        self._declare(_CHANNEL, struct.pack("<HH", number, schema) + _text(topic) + _text(encoding) + _sized(pairs))
        return number

    def add_message(self, channel: int, time_ns: int, content: bytes) -> None:
        """Adds a message of this time; times must not fall."""
        facts = self._facts
        head = struct.pack("<HIQQ", channel, facts.counts[channel] & 0xFFFF_FFFF, time_ns, time_ns)
        self._put(_record(_MESSAGE, head + content))
        facts.first_ns = facts.first_ns if any(facts.counts.values()) else time_ns
        facts.last_ns = time_ns
        facts.counts[channel] += 1

    def finish(self) -> None:
        """Adds the summary."""
        self._put(_record(_DATA_END, struct.pack("<I", 0)))  # no checksum over all data: it may be long
        facts, summary_at = self._facts, self._file.tell()
        counts = b"".join(struct.pack("<HQ", channel, count) for channel, count in facts.counts.items())
        numbers = struct.pack(
            "<QHIIIIQQ",
            sum(facts.counts.values()),
            facts.schemas,
            len(facts.counts),
            0,
            0,
            0,
            facts.first_ns,
            facts.last_ns,
        )
        summary = b"".join(facts.records) + _record(_STATISTICS, numbers + _sized(counts))
        head = struct.pack("<BQQQ", _FOOTER, 20, summary_at, 0)
        self._put(summary + head + struct.pack("<I", zlib.crc32(summary + head)) + _MAGIC)

    def flush(self) -> None:
        """Hands what was written to the system."""
        try:
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from error

    def _declare(self, opcode: int, content: bytes) -> None:
        record = _record(opcode, content)
        self._facts.records.append(record)
        self._put(record)

    def _put(self, content: bytes) -> None:
        try:
            self._file.write(content)
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> RecordingError:
        return RecordingError(
            f"recording {self._name!r} cannot be written ({error.strerror or error}); free up space or choose another place; "
            f"{self._fate}"
        )


class MessageFile:
    """Writes one file into a new folder: both are complete if the `with` block succeeds, absent otherwise.

    Raises RecordingError if the folder's name is taken or nothing can be written there.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._stack = ExitStack()

    def __enter__(self) -> MessageStream:
        if self._folder.exists() or self._folder.is_symlink():
            raise RecordingError(
                f"recording {str(self._folder)!r} exists already and is never overwritten; remove it or choose another name"
            )
        file = self._stack.enter_context((self._stack.enter_context(new_folder(self._folder)) / self._name).open("wb"))
        self._stream = MessageStream(file, str(self._folder), "nothing was left behind")
        return self._stream

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self._stream.finish()
            self._stack.close()
            return
        self._stack.__exit__(kind, error, trace)  # type: ignore[arg-type]  # as they came


def _record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def _text(text: str) -> bytes:
    return _sized(text.encode())


def _sized(content: bytes) -> bytes:
    return struct.pack("<I", len(content)) + content
