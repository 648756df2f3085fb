"""Receives the daemon's preview: a thread that connects, keeps the newest picture, and connects again for as long as it is open."""

import socket
import threading
from contextlib import suppress
from typing import Final

from handmap.protocol.authentication import KeyRing
from handmap.protocol.preview import (
    LENGTH_BYTES,
    VERSION,
    Ask,
    Hello,
    Message,
    Picture,
    Refusal,
    decode_preview,
    encode_preview,
    message_bytes,
    proof,
)
from handmap.types.errors import PacketError

CONNECT_S: Final = 2.0
SILENCE_S: Final = 60.0  # a camera that is away sends nothing; a daemon that is gone without a word is found out then
AGAIN_S: Final = 1.0
CHUNK_BYTES: Final = 1 << 16


class PreviewClient:
    """Pictures of the daemon at this address, at most max_hz a second, until it is closed.

    It is connected while is_wanted. problem is why there are no pictures, empty while there are.
    """

    def __init__(self, host: str, port: int, keys: KeyRing | None = None, max_hz: float = 10.0) -> None:
        self._address = host, port
        self._keys = keys
        self._max_hz = max_hz
        self._newest: Picture | None = None
        self._socket: socket.socket | None = None
        self._closed = threading.Event()
        self._is_wanted = threading.Event()
        self.problem = "not connected yet"
        self.received_bytes = 0
        self._thread = threading.Thread(target=self._run, name="preview client", daemon=True)
        self._thread.start()

    def take(self) -> Picture | None:
        """The newest picture, if there has been one since the last call."""
        newest, self._newest = self._newest, None
        return newest

    def want(self, is_wanted: bool) -> None:
        """Connects, or disconnects, so that the daemon has no work when nobody looks."""
        if is_wanted:
            self._is_wanted.set()
        elif self._is_wanted.is_set():
            self._is_wanted.clear()
            self._hang_up()

    def close(self) -> None:
        """Disconnects for good."""
        self._closed.set()
        self._is_wanted.set()  # so that the thread ends
        self._hang_up()
        self._thread.join(CONNECT_S)

    def _hang_up(self) -> None:
        out = self._socket
        if out is not None:
            with suppress(OSError):
                out.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        shown = f"{self._address[0]}:{self._address[1]}"
        while self._is_wanted.wait() and not self._closed.is_set():
            try:
                with socket.create_connection(self._address, CONNECT_S) as out:
                    self._socket = out
                    self._look(out)
            except OSError as error:
                self.problem = (
                    f"no depth pictures from {shown} ({error.strerror or error}); is the daemon running, with preview in its "
                    "configuration?"
                )
            except PacketError as error:
                self.problem = str(error)
            finally:
                self._socket = None
            self._closed.wait(AGAIN_S)

    def _look(self, out: socket.socket) -> None:
        """Raises PacketError or OSError once there are no more pictures."""
        hello = self._message(out)
        if isinstance(hello, Hello):
            if hello.is_keyed and self._keys is None:
                raise PacketError("preview: this daemon shows pictures only to those who have its key; pass --key")
            key_id, tag = (
                proof(self._keys, hello.challenge) if self._keys is not None and hello.is_keyed else (b"", b"")
            )
            out.sendall(encode_preview(Ask(VERSION, self._max_hz, key_id, tag)))
        out.settimeout(SILENCE_S)
        while self._is_wanted.is_set() and not self._closed.is_set():
            message = self._message(out)
            if isinstance(message, Refusal):
                raise PacketError(message.reason)
            if isinstance(message, Picture):
                self._newest, self.problem = message, ""

    def _message(self, out: socket.socket) -> Message:
        return decode_preview(self._exactly(out, message_bytes(self._exactly(out, LENGTH_BYTES))))

    def _exactly(self, out: socket.socket, size: int) -> bytes:
        """So many bytes. Raises OSError if the stream ends before."""
        parts: list[bytes] = []
        while size > 0:
            part = out.recv(min(size, CHUNK_BYTES))
            if not part:
                raise ConnectionResetError("the daemon has closed the connection")
            parts.append(part)
            size -= len(part)
            self.received_bytes += len(part)
        return b"".join(parts)
