"""Control messages: what a receiver asks of the daemon's control port, and what it answers; docs/protocol.md has the exchange."""

from dataclasses import dataclass
from typing import Final

from handmap.protocol.authentication import KeyRing
from handmap.protocol.datagram import TYPE_AT, seal, unseal
from handmap.protocol.fields import (
    CONTROL,
    CONTROL_BYTES,
    MAGIC,
    MAJOR,
    MAX_INFO_BYTES,
    MINOR,
    ControlLayout,
    ControlStatus,
    ControlType,
)
from handmap.types.errors import PacketError

NO_TOKEN: Final = bytes(16)
_U32: Final = 0xFFFF_FFFF


@dataclass(frozen=True)
class ControlMessage:
    """One control message. Times are in ns: client_ns by the asker's clock, received_ns and sent_ns by the daemon's.

    nonce is chosen by the asker and comes back in the answer. token is the proof that the asker receives at its address. info is
    the JSON text of an INFO.
    """

    message_type: ControlType
    nonce: int
    status: ControlStatus = ControlStatus.OK
    lease_s: int = 0
    stream_id: int = 0
    token: bytes = NO_TOKEN
    client_ns: int = 0
    received_ns: int = 0
    sent_ns: int = 0
    info: bytes = b""


def is_control(data: bytes) -> bool:
    """Whether a datagram can only be a control message, whatever else is wrong with it."""
    return len(data) > TYPE_AT and data[TYPE_AT] >= min(ControlType)


def encode_control(message: ControlMessage, keys: KeyRing | None = None) -> bytes:
    """The datagram of a message. Raises PacketError if its information is too long."""
    if len(message.info) > MAX_INFO_BYTES:
        raise PacketError(
            f"control message: {len(message.info)} bytes of information do not fit, at most {MAX_INFO_BYTES} do"
        )
    body = CONTROL.pack(
        MAGIC, MAJOR, MINOR, CONTROL_BYTES,
        message.message_type, message.status, message.lease_s, 0, 0, 0,
        message.stream_id & _U32, 0, message.nonce, message.token,
        message.client_ns, message.received_ns, message.sent_ns,
    )  # fmt: skip
    return seal(body + message.info, keys)


def decode_control(data: bytes, keys: KeyRing | None = None) -> ControlMessage:
    """The message of one whole datagram. Raises PacketError for anything else, and as `unseal` does."""
    body = unseal(data, keys)
    if len(body) < CONTROL_BYTES:
        raise PacketError(f"control message: {len(data)} bytes are too short")
    header = ControlLayout._make(CONTROL.unpack_from(body))
    if not CONTROL_BYTES <= header.header_bytes <= len(body):
        raise PacketError(
            f"control message: states a header of {header.header_bytes} bytes, at least {CONTROL_BYTES} are wanted"
        )
    try:
        message_type, status = ControlType(header.message_type), ControlStatus(header.status)
    except ValueError as error:
        raise PacketError(f"control message: {error}, in version {MAJOR}.{MINOR}; update this side") from None
    return ControlMessage(
        message_type, header.nonce, status, header.lease_s, header.stream_id, header.token, header.client_ns,
        header.received_ns, header.sent_ns, body[header.header_bytes :],
    )  # fmt: skip
