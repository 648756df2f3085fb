"""Open Sound Control 1.0, as far as VMC needs it: messages of integers, floats and strings, and bundles of them."""

import struct
from collections.abc import Sequence
from typing import Final, TypeAlias

Argument: TypeAlias = int | float | str
AT_ONCE: Final = 1  # the time tag that says so


def osc_message(address: str, *arguments: Argument) -> bytes:
    """The bytes of one message; floats become 32 bits."""
    tags = "," + "".join("s" if isinstance(one, str) else "i" if isinstance(one, int) else "f" for one in arguments)
    return _string(address) + _string(tags) + b"".join(map(_argument, arguments))


def osc_bundle(messages: Sequence[bytes]) -> bytes:
    """The bytes of a bundle of messages that take effect at once."""
    parts = [struct.pack(">I", len(message)) + message for message in messages]
    return _string("#bundle") + struct.pack(">Q", AT_ONCE) + b"".join(parts)


def _argument(value: Argument) -> bytes:
    if isinstance(value, str):
        return _string(value)
    return struct.pack(">i" if isinstance(value, int) else ">f", value)


def _string(text: str) -> bytes:
    """ASCII with one to four zeros behind it, up to a multiple of four bytes."""
    content = text.encode("ascii")
    return content + bytes(4 - len(content) % 4)
