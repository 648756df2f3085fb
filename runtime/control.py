"""The control port: receivers subscribe here, compare clocks and ask for facts. One thread answers; frames never wait for it.

An address is sent packets or facts only with a token that it has received before, so nobody can aim them at another machine. The
thread reads a few datagrams at a time and rests when there are more, so a flood costs the main loop next to nothing.
"""

import hashlib
import ipaddress
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from handmap.protocol.authentication import KeyRing
from handmap.protocol.control import NO_TOKEN, ControlMessage, decode_control, encode_control
from handmap.protocol.fields import (
    CONTROL_BYTES,
    CRC_BYTES,
    MAGIC,
    MAX_PACKET_BYTES,
    TRAILER_BYTES,
    ControlStatus,
    ControlType,
)
from handmap.system.resolve import Address
from handmap.types.errors import PacketError

from .publish_config import ControlConfig
from .routes import open_socket

LOG = logging.getLogger("handmap.control")

BATCH: Final = 16
REST_S: Final = 0.01  # after a full batch: at most 1,600 datagrams are read in a second
WAIT_S: Final = 0.2
BIND_AGAIN_S: Final = 1.0
TOKEN_S: Final = 60.0  # a token is good for this long, and once more
RECEIVE_BUFFER_BYTES: Final = 32 * 1024
JOIN_S: Final = 0.5
SNAPSHOT_EVERY_S: Final = 1.0  # what asks again meanwhile, as its answer was lost, means the same one


class ControlPort:
    """Answers from its creation until it is closed; while the port or the address is not to be had, it logs that once and retries."""

    def __init__(
        self, config: ControlConfig, keys: KeyRing | None, stream_id: int, info: Callable[[], bytes],
        ask_snapshot: Callable[[], int] = lambda: 0,
    ) -> None:  # fmt: skip
        self._config = config
        self._keys = keys
        self._stream_id = stream_id
        self._info = info
        self._ask_snapshot = ask_snapshot
        self._snapshot_s = float("-inf")
        # As long as an answer, so that none is larger than what asked for it.
        self._least_bytes = CONTROL_BYTES + CRC_BYTES + (0 if keys is None else TRAILER_BYTES)
        self._secret = secrets.token_bytes(32)
        self._until_s: dict[Address, float] = {}  # when each lease ends, time.monotonic()
        self._out: socket.socket | None = None
        self._closed = threading.Event()
        self.problem = "not opened yet"
        self.answered = 0
        self.refused = 0
        self.errors = 0  # packets and answers that could not be handed to the network
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that packets name."""
        return self._config.port

    @property
    def name(self) -> str:
        """Where it answers, for people."""
        return f"{self._config.bind}:{self._config.port}"

    @property
    def max_subscribers(self) -> int:
        """Receivers that it takes at a time."""
        return self._config.max_subscribers

    @property
    def subscribers(self) -> tuple[Address, ...]:
        """Where packets go to: those whose lease has not ended."""
        now_s = time.monotonic()
        return tuple(address for address, until_s in self._until_s.items() if until_s > now_s)

    def send(self, data: bytes, raise_fault: Callable[[], None]) -> None:
        """Hands a packet to the network for each subscriber, or counts an error."""
        for address in self.subscribers:
            try:
                raise_fault()
                out = self._out
                if out is None:
                    return
                out.sendto(data, address)
            except OSError:
                self.errors += 1

    def close(self) -> None:
        """Closes the port; subscribers find a daemon that is there again by themselves."""
        self._closed.set()
        self._thread.join(JOIN_S)

    def _run(self) -> None:
        while not self._closed.is_set():
            out = self._open()
            if out is None:
                self._closed.wait(BIND_AGAIN_S)
                continue
            # Two objects for one socket: this thread's waits, the one for packets never does.
            with out, out.dup() as reader:
                reader.settimeout(WAIT_S)
                self._out = out
                self._answer_all(reader)
                self._out = None

    def _open(self) -> socket.socket | None:
        config = self._config
        out = open_socket(socket.AF_INET6 if ":" in config.bind else socket.AF_INET)
        try:
            out.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            out.bind((config.bind, config.port))
        except OSError as error:
            out.close()
            problem = error.strerror or str(error)
            if problem != self.problem:
                self.problem = problem
                LOG.warning(
                    "control=off bind=%s port=%d error=%r hint=%r", config.bind, config.port, problem,
                    "another program has the port, or this machine lacks the address: change publish.control; tried again every second",
                )  # fmt: skip
            return None
        self.problem = ""
        LOG.info("control=%s:%d", config.bind, config.port)
        return out

    def _answer_all(self, reader: socket.socket) -> None:
        while not self._closed.is_set():
            if self._answer_batch(reader):
                time.sleep(REST_S)

    def _answer_batch(self, reader: socket.socket) -> bool:
        """Answers what is here, or what comes soon; returns whether there may be more."""
        reader.settimeout(WAIT_S)
        for _ in range(BATCH):
            try:
                data, address = reader.recvfrom(MAX_PACKET_BYTES + 1)
            except (TimeoutError, BlockingIOError):
                return False
            except OSError:  # such as a report that an earlier receiver is gone
                continue
            reader.settimeout(0)
            self._answer(data, address, reader)
        return True

    def _answer(self, data: bytes, address: Address, reader: socket.socket) -> None:
        answer = self.answer(data, address, time.monotonic_ns())
        if answer is None:
            self.refused += 1
            return
        try:
            reader.sendto(answer, address)
            self.answered += 1
        except OSError:
            self.errors += 1

    def answer(self, data: bytes, address: Address, received_ns: int) -> bytes | None:
        """The datagram that answers one from this address; None for what is not a request, or not with a key of ours."""
        if len(data) < self._least_bytes or not data.startswith(MAGIC):  # costs next to nothing
            return None
        try:
            reply = self._reply(decode_control(data, self._keys), address)
        except PacketError:
            return None
        if reply is None:
            return None
        reply = replace(reply, received_ns=received_ns, sent_ns=time.monotonic_ns(), stream_id=self._stream_id)
        return encode_control(reply, self._keys)

    def _reply(self, request: ControlMessage, address: Address) -> ControlMessage | None:
        """The answer without times; None for what is not a request."""
        kind = request.message_type
        answer = ControlMessage(ControlType.PONG, request.nonce, client_ns=request.client_ns)
        if kind is ControlType.PING:
            return replace(answer, token=self._token(address, 0))
        is_proven = request.token != NO_TOKEN and request.token in (self._token(address, 0), self._token(address, 1))
        if kind is ControlType.INFO_REQUEST:
            if is_proven:
                return replace(answer, message_type=ControlType.INFO, info=self._info())
            return replace(answer, message_type=ControlType.INFO, status=ControlStatus.BAD_TOKEN)
        if kind is ControlType.SNAPSHOT:
            status = self._snapshot(address) if is_proven else ControlStatus.BAD_TOKEN
            return replace(answer, message_type=ControlType.SNAPSHOT_TAKEN, status=status)
        if kind not in (ControlType.SUBSCRIBE, ControlType.UNSUBSCRIBE):
            return None
        answer = replace(answer, message_type=ControlType.SUBSCRIBED)
        if not is_proven:
            return replace(answer, status=ControlStatus.BAD_TOKEN)
        if kind is ControlType.UNSUBSCRIBE or request.lease_s == 0:
            self._drop(address)
            return answer
        return self._subscribe(answer, address, request.lease_s)

    def _subscribe(self, answer: ControlMessage, address: Address, lease_s: int) -> ControlMessage:
        current = {each: self._until_s[each] for each in self.subscribers}
        if address not in current:
            if len(current) >= self._config.max_subscribers:
                return replace(answer, status=ControlStatus.FULL)
            LOG.info("subscriber=%s port=%d", address[0], address[1])
        lease_s = min(lease_s, self._config.max_lease_s)
        current[address] = time.monotonic() + lease_s
        self._until_s = current  # never changed, but replaced: one assignment: the main loop reads it
        return replace(answer, lease_s=lease_s)

    def _snapshot(self, address: Address) -> ControlStatus:
        """Has the flight recorder write, for a program on this machine or one with the key."""
        if self._keys is None and not ipaddress.ip_address(address[0]).is_loopback:
            return ControlStatus.NOT_ALLOWED
        now_s = time.monotonic()
        if now_s - self._snapshot_s >= SNAPSHOT_EVERY_S:
            if not self._ask_snapshot():
                return ControlStatus.NOT_ALLOWED
            self._snapshot_s = now_s
        return ControlStatus.OK

    def _drop(self, address: Address) -> None:
        self._until_s = {each: self._until_s[each] for each in self.subscribers if each != address}

    def _token(self, address: Address, age: int) -> bytes:
        """What proves that somebody receives at this address: only that address is ever sent it."""
        period = int(time.monotonic() // TOKEN_S) - age
        said = f"{address[0]} {address[1]} {period}".encode()
        return hashlib.blake2s(said, digest_size=len(NO_TOKEN), key=self._secret).digest()
