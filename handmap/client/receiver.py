"""The receiving end: a UDP socket that gives packets in order. What it makes of datagrams is in session.py."""

import errno
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Final, TypeAlias

from handmap.client.session import Received, Session, StreamCounts
from handmap.client.sockets import bound, joined, refuse_half_a_group
from handmap.protocol.authentication import KeyRing
from handmap.protocol.control import is_control
from handmap.protocol.fields import DEFAULT_CONTROL_PORT, DEFAULT_PORT, MAGIC, MAX_PACKET_BYTES
from handmap.protocol.info import DaemonInfo
from handmap.system.resolve import Address, resolve
from handmap.types.errors import ConfigError

NOWHERE: Final = ("", 0)
LEASE_S: Final = 30  # a subscriber that is gone gets no more packets after that


Tap: TypeAlias = Callable[[bytes, Address, int], None]


def ignore(data: bytes, address: Address, received_ns: int) -> None:
    """Does nothing with a datagram."""


class Receiver:
    """A bound UDP socket.

    Packets come out in order: one that was overtaken on the way is counted and skipped. tap is called with every datagram that looks
    like a packet, where it came from and when, CLOCK_MONOTONIC ns.
    """

    def __init__(self, out: socket.socket, port: int, session: Session | None = None) -> None:
        self._socket = out
        self.port = port
        self._session = session or Session()
        self.tap: Tap = ignore

    @property
    def has_ended(self) -> bool:
        """Whether nothing more can come: never, on a network."""
        return False

    @property
    def counts(self) -> StreamCounts:
        """Totals since it was opened."""
        return self._session.counts

    @property
    def info(self) -> DaemonInfo | None:
        """What the daemon heard last says of itself, once it has been asked."""
        peers = self._session.peers
        return peers[-1].info if peers else None

    @property
    def problem(self) -> str:
        """Why there is no subscription; empty if there is one, or none was wanted."""
        peers = self._session.peers
        return peers[-1].problem if peers else ""

    def wait(self, timeout_s: float) -> Received | None:
        """The next packet, or None on timeout; datagrams that are not valid packets are counted. With 0, only what is here already."""
        end_s = time.monotonic() + timeout_s
        while True:
            self._ask()
            left_s = max(end_s - time.monotonic(), 0.0)
            data, address = self._read(left_s)
            if data is not None:
                now_ns = time.monotonic_ns()
                received = self._session.handle(data, address, now_ns)
                if data.startswith(MAGIC) and not is_control(data):
                    self.tap(data, address, now_ns)
                if received is not None:
                    return received
            elif left_s <= 0:
                return None

    def wait_newest(self, timeout_s: float) -> Received | None:
        """The newest packet once there is one, or None on timeout; those that arrived before it unread are skipped, not counted as lost."""
        newest = received = self.wait(timeout_s)
        while received is not None:
            newest, received = received, self.wait(0)
        return newest

    def fileno(self) -> int:
        """The socket's file descriptor, readable when a datagram is here."""
        return self._socket.fileno()

    def close(self) -> None:
        """Ends a subscription, and releases the port."""
        for data, address in self._session.goodbye(time.monotonic_ns()):
            with suppress(OSError):
                self._socket.sendto(data, address)
        self._socket.close()

    def __iter__(self) -> Iterator[Received]:
        """Every packet, forever."""
        while True:
            received = self.wait(1.0)
            if received is not None:
                yield received

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, timeout_s: float) -> tuple[bytes | None, Address]:
        """A datagram and where it came from, or None once the time is over or something is to be asked."""
        due_ns = self._session.next_ns()
        if due_ns is not None:
            timeout_s = min(timeout_s, max(due_ns - time.monotonic_ns(), 0) / 1e9 + 1e-4)
        self._socket.settimeout(timeout_s)
        try:
            data, address = self._socket.recvfrom(MAX_PACKET_BYTES + 1)
        except (TimeoutError, BlockingIOError, ConnectionRefusedError):  # nothing, or a daemon that is not there
            return None, NOWHERE
        return data, address

    def _ask(self) -> None:
        for data, address in self._session.due(time.monotonic_ns()):
            with suppress(OSError):  # asked again soon; an unreachable daemon is no reason to stop receiving
                self._socket.sendto(data, address)


def subscribe(
    host: str, port: int = DEFAULT_CONTROL_PORT, keys: KeyRing | None = None, lease_s: int = LEASE_S
) -> Receiver:
    """A receiver that asks the daemon at this control port for its packets, and keeps asking; it need not be there yet.

    Raises ConfigError if the host's name has no address.
    """
    try:
        family, source = resolve(host, port)[0]
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigError(
            f"subscription to {f'{host}:{port}'!r:.90}: the name does not resolve to an address; pass the address of the "
            "daemon's machine"
        ) from error
    out = socket.socket(family, socket.SOCK_DGRAM)
    out.bind(("" if family == socket.AF_INET else "::", 0))
    return Receiver(out, out.getsockname()[1], Session(keys, source, lease_s))


def receive(
    host: str | None = None, port: int | None = None, *, bind: str = "", keys: KeyRing | None = None
) -> Iterator[Received]:
    """Every packet, forever: of the daemon on this host by subscription, or without a host what arrives at a port of this machine.

    The port is that of the daemon's control port, or the one to receive on. Raises ConfigError as `subscribe` and `open_receiver` do.
    """
    if host is not None:
        receiver = subscribe(host, DEFAULT_CONTROL_PORT if port is None else port, keys)
    else:
        receiver = open_receiver(bind, DEFAULT_PORT if port is None else port, keys)
    with receiver:
        yield from receiver


def open_receiver(host: str, port: int, keys: KeyRing | None = None, interface: str = "") -> Receiver:
    """Opens a receiver on this port; an empty host means all addresses of this machine, IPv4 and IPv6.

    A multicast group is joined on a network interface. Raises ConfigError if the port is taken or the address does not belong to
    this machine.
    """
    shown = f"{host or 'any address'}:{port}"
    refuse_half_a_group(host, interface)
    try:
        out = joined(host, port, interface) if interface else bound(host, port)
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigError(
            f"receiver on {shown!r:.90}: the name does not resolve to an address; pass an address of this machine with --bind, "
            "or any to receive on all of them"
        ) from error
    except OSError as error:
        if interface and error.errno in (errno.ENODEV, errno.EADDRNOTAVAIL, errno.ENXIO):
            raise ConfigError(
                f"receiver on {shown}: this machine cannot join the group on interface {interface!r} ({error.strerror}); pass one that "
                "`ip link` lists with --interface"
            ) from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise ConfigError(
                f"receiver on {shown}: no network interface of this machine has that address; pass one that has with --bind (see: "
                "ip address), or any to receive on all of them"
            ) from error
        raise ConfigError(
            f"receiver on {shown}: the port cannot be opened ({error.strerror or error}); "
            "stop the program that uses it (see: ss -lunp), or choose another with --port and in publish.targets"
        ) from error
    return Receiver(out, out.getsockname()[1], Session(keys))
