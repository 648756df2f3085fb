"""What all datagrams share: magic, version, flags, the optional authentication, and the checksum at the end."""

import zlib
from typing import Final

from handmap.protocol.authentication import KeyRing, tag_of
from handmap.protocol.fields import (
    AUTHENTICATED,
    CRC,
    CRC_BYTES,
    HEADER_BYTES,
    KNOWN_INCOMPATIBLE,
    MAGIC,
    MAJOR,
    MAX_PACKET_BYTES,
    MINOR,
    TRAILER,
    TRAILER_BYTES,
    TrailerLayout,
)
from handmap.types.errors import PacketError

MAJOR_AT: Final = 4
TYPE_AT: Final = 8
INCOMPATIBLE_AT: Final = 12
MIN_BYTES: Final = HEADER_BYTES + CRC_BYTES  # of the shortest datagram, a packet without hands


def seal(body: bytes, keys: KeyRing | None) -> bytes:
    """The datagram of a body whose flags are 0: authenticated if there are keys, by the first of them, with its checksum."""
    if keys is not None:
        key = keys.first
        flagged = body[:INCOMPATIBLE_AT] + bytes([AUTHENTICATED]) + body[INCOMPATIBLE_AT + 1 :] + key.key_id
        body = flagged + tag_of(key, flagged)
    return body + CRC.pack(zlib.crc32(body))


def unseal(data: bytes, keys: KeyRing | None) -> bytes:
    """The body of a datagram, without trailer and checksum; with keys, only one that was sealed by one of them.

    Without keys, authenticated datagrams are read as others are. Raises PacketError for anything else than a whole, intact datagram
    of a version that can be read.
    """
    if len(data) < MIN_BYTES:
        raise PacketError(f"packet: {len(data)} bytes are too short, the smallest packet has {MIN_BYTES}")
    if len(data) > MAX_PACKET_BYTES:
        raise PacketError(
            f"packet: more than {MAX_PACKET_BYTES} bytes, which no packet has; something else is sending to this port"
        )
    if data[:4] != MAGIC:
        raise PacketError(
            f"packet: starts with {data[:4]!r} instead of {MAGIC!r}; something else is sending to this port"
        )
    if data[MAJOR_AT] != MAJOR:
        raise PacketError(
            f"packet: version {data[MAJOR_AT]}.{data[MAJOR_AT + 1]} cannot be read, this program reads {MAJOR}.x; install "
            "the same HandMap version on both ends"
        )
    (crc,) = CRC.unpack_from(data, len(data) - CRC_BYTES)
    if crc != zlib.crc32(memoryview(data)[:-CRC_BYTES]):
        raise PacketError(
            f"packet: the checksum does not match, the {len(data)} bytes were damaged or truncated in transit"
        )
    if unknown := data[INCOMPATIBLE_AT] & ~KNOWN_INCOMPATIBLE:
        raise PacketError(
            f"packet: incompatible flags {unknown:#04x} are unknown to version {MAJOR}.{MINOR}; update the receiver"
        )
    body = data[:-CRC_BYTES]
    if data[INCOMPATIBLE_AT] & AUTHENTICATED:
        return _authentic(body, keys)
    if keys is not None:
        raise PacketError("packet: is not authenticated, and this side has a key; give the sender the same publish.key")
    return body


def _authentic(body: bytes, keys: KeyRing | None) -> bytes:
    if len(body) < HEADER_BYTES + TRAILER_BYTES:
        raise PacketError(f"packet: {len(body) + CRC_BYTES} bytes are too short for one that is authenticated")
    if keys is not None:
        trailer = TrailerLayout._make(TRAILER.unpack_from(body, len(body) - TRAILER_BYTES))
        keys.check(trailer.key_id, trailer.tag, body[: -len(trailer.tag)])
    return body[:-TRAILER_BYTES]
