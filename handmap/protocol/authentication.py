"""Keys that prove who sent a datagram: BLAKE2s of the standard library, keyed (RFC 7693). What that protects: docs/security.md."""

import hashlib
import hmac
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handmap.files.reading import open_regular, read_up_to
from handmap.types.errors import ConfigError, PacketError

ID_BYTES: Final = 4
TAG_BYTES: Final = 16
MAX_KEYS: Final = 8
_LINE: Final = re.compile(r"[0-9a-fA-F]{64}")
CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"  # where systemd puts what LoadCredential= names
MAKE_ONE: Final = "(umask 077; openssl rand -hex 32 > FILE)"


@dataclass(frozen=True)
class Key:
    """A shared secret of 32 bytes, and the first 4 bytes of its hash, by which a datagram says which key it was sealed with."""

    secret: bytes
    key_id: bytes

    def __repr__(self) -> str:
        return f"Key({self.key_id.hex()})"  # never the secret


@dataclass(frozen=True)
class KeyRing:
    """The keys of one side: the first one seals, all are accepted, so that keys can be exchanged one side at a time."""

    keys: tuple[Key, ...]

    @property
    def first(self) -> Key:
        """The key that seals."""
        return self.keys[0]

    def check(self, key_id: bytes, tag: bytes, body: bytes) -> None:
        """Raises PacketError unless the tag is that of the body with one of the keys."""
        key = next((key for key in self.keys if key.key_id == key_id), None)
        if key is None:
            raise PacketError(
                f"packet: sealed with key {key_id.hex()}, which this side does not have; exchange the keys"
            )
        if not hmac.compare_digest(tag, tag_of(key, body)):
            raise PacketError(f"packet: the tag of key {key_id.hex()} does not match; it was forged or changed")


def make_key(secret: bytes) -> Key:
    """The key of a secret of 32 bytes."""
    return Key(secret, hashlib.blake2s(b"", digest_size=ID_BYTES, key=secret, person=b"HMAP-kid").digest())


def tag_of(key: Key, body: bytes) -> bytes:
    """The tag (16 bytes) of everything before it."""
    return hashlib.blake2s(body, digest_size=TAG_BYTES, key=key.secret, person=b"HMAP-tag").digest()


def read_keys(path: Path) -> KeyRing:
    """The keys in a file: a line of 64 hexadecimal digits each, the one that seals first.

    Raises ConfigError for a file that cannot be read, that others can use too, or that holds something else.
    """
    text, mode = _read(path)
    if mode & 0o077:
        raise ConfigError(
            f"key {str(path)!r}: others than its owner can use it (mode {stat.S_IMODE(mode):04o}); run: chmod 600 {path}"
        )
    return _parsed(path, text)


def read_credential(name: str) -> KeyRing:
    """The keys in the systemd credential with this name, which only this service can read. Raises ConfigError as `read_keys` does."""
    folder = os.environ.get(CREDENTIALS)
    if not folder:
        raise ConfigError(
            f"key_credential {name!r}: systemd has given this process no credentials; add LoadCredential={name}:FILE to the "
            "service, or set publish.key_file instead"
        )
    path = Path(folder) / name
    text, _ = _read(
        path
    )  # systemd lets the service's user read it by an access control list, which shows as rights of the group
    return _parsed(path, text)


def _read(path: Path) -> tuple[str, int]:
    """The beginning of a regular file, and its mode."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            mode, content = os.fstat(file.fileno()).st_mode, read_up_to(file, MAX_KEYS * 200)
    except OSError as error:
        raise ConfigError(f"key {str(path)!r}: cannot be read ({error.strerror}); make one with: {MAKE_ONE}") from error
    return content.decode("ascii", "replace"), mode


def _parsed(path: Path, text: str) -> KeyRing:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines or len(lines) > MAX_KEYS or not all(_LINE.fullmatch(line) for line in lines):
        raise ConfigError(
            f"key {str(path)!r}: wanted 1 to {MAX_KEYS} lines of 64 hexadecimal digits, found something else; make one with: "
            f"{MAKE_ONE}"
        )
    keys = tuple(make_key(bytes.fromhex(line)) for line in lines)
    if len({key.key_id for key in keys}) < len(keys):
        raise ConfigError(f"key {str(path)!r}: the same key stands there twice; remove one of the lines")
    return KeyRing(keys)
