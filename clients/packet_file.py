"""What `handmap listen --record` writes and `--replay` reads: every packet as it arrived, in an MCAP file that Foxglove opens too.

Packets are on the topic /handmap/packets, one channel for each address that they came from; the same hands as JSON are on
/handmap/hands, for people and for Foxglove. A viewer that saw depth pictures adds them on /handmap/preview.
"""

import json
import os
import struct
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from handmap.client.session import Received, Session, StreamCounts
from handmap.files.reading import open_regular
from handmap.recording.message_file import MessageStream
from handmap.system.resolve import Address
from handmap.types.errors import RecordingError

from .listen import as_json

PACKETS, HANDS, PREVIEW = "/handmap/packets", "/handmap/hands", "/handmap/preview"
ENCODING: Final = "handmap"
PREVIEW_ENCODING: Final = "handmap-preview"
FLUSH_NS: Final = 10**9
MAX_CHANNELS: Final = 64
_MAGIC: Final = b"\x89MCAP0\r\n"
_CHANNEL, _MESSAGE = 4, 5
_MAX_RECORD_BYTES: Final = 1 << 20
NOT_KEPT: Final = "no packets arrived; no file was kept"
WANTED: Final = (
    "pass a file that `handmap listen --record` or the page has written; recordings of depth and snapshots are played by "
    "`handmap run` with camera: {kind: replay, path: ...}"
)


class PacketRecorder:
    """Writes a file from the start to `close`; what was written stays, whatever ends it, but for the last second of a killed process.

    Raises RecordingError if the file exists already or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            # For its user alone: depth pictures show people.
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
        except FileExistsError as error:
            raise RecordingError(
                f"recording {str(path)!r} exists already and is never overwritten; remove it or choose another name"
            ) from error
        except OSError as error:
            raise RecordingError(
                f"recording {str(path)!r} cannot be written ({error.strerror}); choose a file in a folder that exists and is yours"
            ) from error
        self._path = path
        self._stream = MessageStream(self._file, str(path), "what was recorded until now stays")
        schema = self._stream.add_schema("handmap.Received", "jsonschema", b'{"type": "object"}')
        self._hands = self._stream.add_channel(HANDS, "json", schema)
        self._channels: dict[str, int] = {}
        self._pictures: int | None = None
        self._epoch_ns = time.time_ns() - time.monotonic_ns()
        self._flushed_ns = 0

    def take_datagram(self, data: bytes, address: Address, received_ns: int) -> None:
        """Adds a datagram as it arrived."""
        host = str(address[0])
        if host not in self._channels and len(self._channels) < MAX_CHANNELS:  # anybody can make up addresses
            self._channels[host] = self._stream.add_channel(PACKETS, ENCODING, 0, {"address": host})
        channel = self._channels.get(host)
        if channel is not None:
            self._stream.add_message(channel, self._epoch_ns + received_ns, data)
        if received_ns - self._flushed_ns > FLUSH_NS:
            self._flushed_ns = received_ns
            self._stream.flush()

    def take(self, received: Received) -> None:
        """Adds the hands of a packet as JSON."""
        self._stream.add_message(
            self._hands, self._epoch_ns + received.received_ns, json.dumps(as_json(received)).encode()
        )

    def take_picture(self, data: bytes, received_ns: int) -> None:
        """Adds a message of the preview as it arrived, without its length."""
        if self._pictures is None:
            self._pictures = self._stream.add_channel(PREVIEW, PREVIEW_ENCODING, 0)
        if len(data) < _MAX_RECORD_BYTES - 64:
            self._stream.add_message(self._pictures, self._epoch_ns + received_ns, data)

    def close(self) -> None:
        """Ends the file with its summary."""
        try:
            self._stream.finish()
        finally:
            self._file.close()

    def keep_or_remove(self) -> bool:
        """Ends the file, and removes one without packets, which could not be played; whether it was kept."""
        try:
            self.close()
        finally:
            if not self._channels:
                self._path.unlink(missing_ok=True)
        return bool(self._channels)


class PacketPlayer:
    """A receiver of what was recorded, at the pace at which it arrived."""

    port = 0
    problem = ""

    def __init__(self, path: Path) -> None:
        self._datagrams = read_datagrams(path)
        self._next: tuple[int, str, bytes] | None = next(self._datagrams, None)
        if self._next is None:
            raise RecordingError(f"recording {str(path)!r} has no packets; {WANTED}")
        self._session = Session()
        self._shift_ns = time.monotonic_ns() - self._next[0]

    @property
    def counts(self) -> StreamCounts:
        """Totals since the start."""
        return self._session.counts

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing more to come."""
        return self._next is None

    def wait(self, timeout_s: float) -> Received | None:
        """The next packet once its time has come, or None on timeout and at the end."""
        end_ns = time.monotonic_ns() + round(timeout_s * 1e9)
        while self._next is not None:
            recorded_ns, host, data = self._next
            due_ns = recorded_ns + self._shift_ns
            time.sleep(max(min(due_ns, end_ns) - time.monotonic_ns(), 0) / 1e9)
            if due_ns > end_ns:
                return None
            self._next = next(self._datagrams, None)
            received = self._session.handle(data, (host, 0), due_ns)
            if received is not None:
                # The clock of its sender is of another day: as if each packet had left when it arrives.
                return replace(received, clock_offset_ns=received.packet.publish_ns - due_ns)
        return None

    def close(self) -> None:
        """Closes the file."""
        self._datagrams.close()


def read_datagrams(path: Path) -> Generator[tuple[int, str, bytes], None, None]:
    """Time (ns since the epoch), address and bytes of each datagram; a file whose end is missing is read as far as it goes.

    Raises RecordingError if it is no such file.
    """
    for message in read_messages(path):
        if message.host is not None:
            yield message.log_ns, message.host, message.data


class RecordedMessage(NamedTuple):
    """A packet as it arrived from `host`, or a message of the preview where that is None; log_ns is since the epoch."""

    log_ns: int
    host: str | None
    data: bytes


def read_messages(path: Path) -> Generator[RecordedMessage, None, None]:
    """All packets and depth pictures of a file, in its order; one whose end is missing is read as far as it goes.

    Raises RecordingError if it is no such file.
    """
    try:
        file = os.fdopen(open_regular(path), "rb")
    except OSError as error:
        raise RecordingError(f"recording {str(path)!r} cannot be read ({error.strerror}); {WANTED}") from error
    with file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise RecordingError(f"recording {str(path)!r} is not an MCAP file; {WANTED}")
        hosts: dict[int, str | None] = {}
        while len(head := file.read(9)) == 9:
            opcode, size = struct.unpack("<BQ", head)
            content = file.read(size) if size <= _MAX_RECORD_BYTES else b""
            if len(content) < size:
                return
            if opcode == _CHANNEL:
                try:
                    hosts.update(_channel_of(content))
                except (struct.error, ValueError) as error:  # UnicodeDecodeError included
                    raise RecordingError(
                        f"recording {str(path)!r} is damaged: a channel in it cannot be read"
                    ) from error
            elif opcode == _MESSAGE and size >= 22:
                channel, _, log_ns = struct.unpack_from("<HIQ", content)
                if channel in hosts:
                    yield RecordedMessage(log_ns, hosts[channel], content[22:])


def _channel_of(content: bytes) -> dict[int, str | None]:
    """The channel's number and the address that its packets came from, None for the preview's; empty for any other channel."""
    (number,) = struct.unpack_from("<H", content)
    texts, at = [], 4
    for _ in range(2):
        (size,) = struct.unpack_from("<I", content, at)
        texts.append(content[at + 4 : at + 4 + size])
        at += 4 + size
    pairs = content[at + 4 :]
    found = []
    while pairs:
        (size,) = struct.unpack_from("<I", pairs)
        found.append(pairs[4 : 4 + size].decode())
        pairs = pairs[4 + size :]
    metadata = dict(zip(found[::2], found[1::2], strict=True))
    if texts == [PREVIEW.encode(), PREVIEW_ENCODING.encode()]:
        return {number: None}
    return {number: metadata["address"]} if texts == [PACKETS.encode(), ENCODING.encode()] else {}
