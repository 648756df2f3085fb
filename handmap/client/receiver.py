"""The receiving end: a UDP socket, packets in order, and counts of what was lost, late, refused or restarted."""

import errno
import ipaddress
import socket
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from handmap.client.stream_order import StreamOrder, judge
from handmap.protocol.fields import MAX_PACKET_BYTES, MessageType
from handmap.protocol.packet import Packet, decode
from handmap.types.errors import ConfigError, PacketError

MAX_STREAMS: Final = 4  # remembered at a time; anybody can make up stream ids


@dataclass(frozen=True)
class Received:
    """A packet and its arrival time, CLOCK_MONOTONIC ns of this machine."""

    packet: Packet
    received_ns: int
    is_restart: bool  # the first packet of a new stream after another one
    lost_before: int  # packets of this stream missing immediately before it
    is_same_machine: bool

    @property
    def sender_ms(self) -> float:
        """Time from capture to sending, by the sender's clock."""
        return (self.packet.publish_ns - self.packet.capture_ns) / 1e6

    @property
    def latency_ms(self) -> float | None:
        """Time from capture to arrival; None for a heartbeat or a packet from another machine, whose clock differs."""
        if not self.is_same_machine or self.packet.message_type is MessageType.HEARTBEAT:
            return None
        return (self.received_ns - self.packet.capture_ns) / 1e6


@dataclass
class StreamCounts:
    """Totals since the receiver was opened."""

    received: int = 0
    lost: int = 0
    late: int = 0  # out of order, and skipped
    restarts: int = 0
    refused: int = 0
    refusal: str = ""  # why the last one was refused


class Receiver:
    """A bound UDP socket.

    Packets come out in order: one that was overtaken on the way is counted and skipped.
    """

    def __init__(self, out: socket.socket, port: int) -> None:
        self._socket = out
        self.port = port
        self.counts = StreamCounts()
        self._streams: OrderedDict[int, StreamOrder] = OrderedDict()  # the one heard last is at the end

    def wait(self, timeout_s: float) -> Received | None:
        """The next packet, or None on timeout; datagrams that are not valid packets are counted."""
        end_s = time.monotonic() + timeout_s
        while (left_s := end_s - time.monotonic()) > 0:
            self._socket.settimeout(left_s)
            try:
                data, address = self._socket.recvfrom(MAX_PACKET_BYTES + 1)
            except TimeoutError:
                return None
            received = self._receive(data, str(address[0]))
            if received is not None:
                return received
        return None

    def close(self) -> None:
        """Releases the port."""
        self._socket.close()

    def _receive(self, data: bytes, host: str) -> Received | None:
        now_ns = time.monotonic_ns()
        try:
            packet = decode(data)
        except PacketError as error:
            self.counts.refused += 1
            self.counts.refusal = str(error)
            return None
        order = self._streams.get(packet.stream_id)
        is_restart = order is None and bool(self._streams)
        lost = 0
        if order is not None:
            verdict = judge(order, packet.sequence, now_ns)
            self._streams[packet.stream_id] = verdict.order
            self.counts.lost = max(self.counts.lost + verdict.lost, 0)
            if not verdict.is_accepted:
                self.counts.late += 1
                return None
            lost = verdict.lost
        else:
            self._streams[packet.stream_id] = StreamOrder(packet.sequence, now_ns)
        self._streams.move_to_end(packet.stream_id)
        while len(self._streams) > MAX_STREAMS:
            self._streams.popitem(last=False)
        self.counts.received += 1
        self.counts.restarts += is_restart
        return Received(packet, now_ns, is_restart, lost, is_loopback(host))


def open_receiver(host: str, port: int) -> Receiver:
    """Opens a receiver on this port; an empty host means all addresses of this machine, IPv4 and IPv6.

    Raises ConfigError if the port is taken or the address does not belong to this machine.
    """
    shown = f"{host or 'any address'}:{port}"
    try:
        out = _bound(host, port)
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigError(
            f"receiver on {shown!r:.90}: the name does not resolve to an address; pass an address of this machine with --bind, "
            "or leave it out to receive on all of them"
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise ConfigError(
                f"receiver on {shown}: no network interface of this machine has that address; pass one that has with --bind (see: "
                "ip address), or leave it out to receive on all of them"
            ) from error
        raise ConfigError(
            f"receiver on {shown}: the port cannot be opened ({error.strerror or error}); "
            "stop the program that uses it (see: ss -lunp), or choose another with --port and in publish.targets"
        ) from error
    return Receiver(out, out.getsockname()[1])


def is_loopback(host: str) -> bool:
    """Whether an address is in the loopback range."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _bound(host: str, port: int) -> socket.socket:
    if host:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        out = socket.socket(family, kind)
    elif socket.has_dualstack_ipv6():
        out, address = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM), ("::", port)
        out.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    else:
        out, address = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), ("", port)
    try:
        out.bind(address)
    except OSError:
        out.close()
        raise
    return out
