"""Reads files within bounds, and JSON: the only way that any part reads either.

What cannot be read is an OSError with a sentence; JSON that does not fit is a NotJson. Callers add which of their files it is.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import msgspec

from handmap.types.errors import FileError

T = TypeVar("T")

MAX_JSON_BYTES: Final = 16 << 20
MAX_MODEL_BYTES: Final = 2 << 30  # the most that one protobuf message can hold
CHUNK_BYTES: Final = 1 << 20
LFS_MAGIC: Final = b"version https://git-lfs"  # how a file begins that Git LFS has not fetched
_KINDS: Final = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)  # fmt: skip


class NotJson(ValueError):
    """Bytes that are not JSON of the wanted structure; its text says where and why."""


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file of at most max_bytes; anything else is refused without waiting for it.

    Raises FileError.
    """
    descriptor = open_regular(path)
    with os.fdopen(descriptor, "rb") as file:
        try:
            size = os.fstat(descriptor).st_size
            content = read_up_to(file, max_bytes + 1) if size <= max_bytes else b""
        except OSError as error:
            raise _unreadable(path, error.strerror or str(error), error.errno or errno.EIO) from error
    if size > max_bytes or len(content) > max_bytes:
        raise _unreadable(path, f"it is longer than {max_bytes} bytes")
    return content


def read_up_to(file: BinaryIO, limit: int) -> bytes:
    """At most `limit` bytes, with no more memory than there are: `read` takes all that it is asked for beforehand."""
    parts: list[bytes] = []
    while limit > 0 and (part := file.read(min(limit, CHUNK_BYTES))):
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)


def open_regular(path: Path) -> int:
    """A descriptor for reading a regular file; a named pipe or device is refused, not waited for.

    Raises FileError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:  # a NUL in the name
        raise _unreadable(path, "its name has a NUL") from error
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error), error.errno or errno.EIO) from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = next((words for is_kind, words in _KINDS if is_kind(mode)), "not a regular file")
        raise _unreadable(path, f"it is {kind}, not a file")
    return descriptor


def read_json(path: Path, kind: type[T]) -> T:
    """The JSON file as a struct, or another type.

    Raises FileError if it cannot be read, NotJson if it does not fit.
    """
    return decode_json(read_bytes(path, MAX_JSON_BYTES), kind)


def decode_json(content: bytes | str, kind: type[T]) -> T:
    """JSON as a struct, or another type.

    Raises NotJson.
    """
    try:
        return msgspec.json.decode(content, type=kind)
    except UnicodeDecodeError as error:
        raise NotJson(f"it is not UTF-8 text (byte {error.start} of a string)") from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise NotJson(str(error)) from error


def encode_json(value: object) -> bytes:
    """The bytes of a JSON file: keys sorted, one a line; deterministic."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=1) + b"\n"


def _unreadable(path: Path, found: str, code: int = errno.EINVAL) -> FileError:
    sentence = f"file {str(path)!r} cannot be read ({found}); name a file that can be, or change its permissions"
    return FileError(path, found, sentence, code)
