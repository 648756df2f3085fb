"""How a preview and a viewer begin: the viewer says what it wants, and proves that it has the key where there is one."""

import asyncio
import secrets

from handmap.protocol.authentication import KeyRing
from handmap.protocol.preview import (
    CHALLENGE_BYTES,
    LENGTH_BYTES,
    MAX_ASK_BYTES,
    VERSION,
    Ask,
    Hello,
    Message,
    check_proof,
    decode_preview,
    encode_preview,
    message_bytes,
)
from handmap.types.errors import PacketError


async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, keys: KeyRing | None) -> Ask:
    """What a viewer wants. Raises PacketError if it may not have it."""
    challenge = secrets.token_bytes(CHALLENGE_BYTES)
    await send(writer, Hello(VERSION, challenge, keys is not None))
    size = message_bytes(await reader.readexactly(LENGTH_BYTES), MAX_ASK_BYTES)
    ask = decode_preview(await reader.readexactly(size))
    if not isinstance(ask, Ask) or ask.version != VERSION:
        raise PacketError(
            f"preview: found another request than that of version {VERSION}; use the viewer of this version"
        )
    if keys is not None:
        if not ask.key_id:
            raise PacketError("preview: this daemon shows pictures only to those who have its key; pass --key")
        check_proof(keys, ask, challenge)
    return ask


async def send(writer: asyncio.StreamWriter, message: Message) -> None:
    """Sends a message, and waits until it has left."""
    writer.write(encode_preview(message))
    await writer.drain()
