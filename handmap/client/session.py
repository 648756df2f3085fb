"""What a receiver makes of datagrams: packets in order with their loss and latency, whatever carries them. No socket is here."""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final, Protocol

from handmap.client.peer import Peer
from handmap.client.stream_order import StreamOrder, judge, judge_authentic
from handmap.protocol.authentication import KeyRing
from handmap.protocol.control import decode_control, is_control
from handmap.protocol.fields import MessageType
from handmap.protocol.packet import Packet, PacketHand, decode
from handmap.system.resolve import Address
from handmap.types.errors import PacketError

MAX_STREAMS: Final = 4  # remembered at a time; anybody can make up stream ids
MAX_PEERS: Final = 4  # likewise


@dataclass(frozen=True)
class Received:
    """A packet and its arrival time, CLOCK_MONOTONIC ns of this machine.

    clock_offset_ns is the sender's clock minus ours, 0 on one machine, None while it is not known; clock_error_ns is how far off it can be.
    """

    packet: Packet
    received_ns: int
    is_restart: bool  # the first packet of a new stream after another one
    lost_before: int  # packets of this stream missing immediately before it
    is_same_machine: bool
    clock_offset_ns: int | None = None
    clock_error_ns: int = 0

    @property
    def hands(self) -> tuple[PacketHand, ...]:
        """The hands of the packet."""
        return self.packet.hands

    @property
    def sender_ms(self) -> float:
        """Time from capture to sending, by the sender's clock."""
        return (self.packet.publish_ns - self.packet.capture_ns) / 1e6

    @property
    def latency_ms(self) -> float | None:
        """Time from capture to arrival; None for a heartbeat, and while the offset of the sender's clock is not known."""
        return self.age_ms(self.received_ns)

    def age_ms(self, now_ns: int) -> float | None:
        """Time from capture to now_ns, CLOCK_MONOTONIC of this machine; None as for latency_ms."""
        if self.clock_offset_ns is None or self.packet.message_type is MessageType.HEARTBEAT:
            return None
        return (now_ns + self.clock_offset_ns - self.packet.capture_ns) / 1e6


@dataclass
class StreamCounts:
    """Totals since the receiver was opened."""

    received: int = 0
    lost: int = 0
    late: int = 0  # overtaken on the way, and skipped; no longer counted as lost
    repeated: int = 0
    restarts: int = 0
    incomplete: int = 0  # frames with a part missing
    unproven: int = 0  # authentic, but of a stream that nobody has vouched for yet; a replayed recording stays here
    refused: int = 0
    refusal: str = ""  # why the last one was refused


class PacketReceiver(Protocol):
    """Whatever gives packets one by one: a socket, or a recording of what one received."""

    @property
    def port(self) -> int:
        """The UDP port, 0 if there is none."""
        ...

    @property
    def counts(self) -> StreamCounts:
        """Totals since it was opened."""
        ...

    @property
    def problem(self) -> str:
        """Why nothing comes, if that is known."""
        ...

    @property
    def has_ended(self) -> bool:
        """Whether nothing more can come."""
        ...

    def wait(self, timeout_s: float) -> Received | None:
        """The next packet, or None on timeout."""
        ...

    def close(self) -> None:
        """Frees what it holds."""
        ...


class Session:
    """Takes in datagrams, and says what to ask of the daemons that they come from.

    With a source, that daemon's control port is asked for packets. With keys, only what was sealed with one of them counts.
    """

    def __init__(self, keys: KeyRing | None = None, source: Address | None = None, lease_s: int = 10) -> None:
        self.counts = StreamCounts()
        self.keys = keys
        self._is_bound_to_source = source is not None
        self._streams: OrderedDict[int, StreamOrder] = OrderedDict()  # the one heard last is at the end
        self._parts: tuple[Packet, ...] = ()
        self._peers: OrderedDict[Address, Peer] = OrderedDict()
        if source is not None:
            self._peers[source] = Peer(source, keys, lease_s)

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The daemons that are asked, the one heard last at the end."""
        return tuple(self._peers.values())

    def handle(self, data: bytes, address: Address, now_ns: int) -> Received | None:
        """The packet in a datagram from this address, if it is one to use now; everything else is counted."""
        try:
            if is_control(data):
                peer = self._peers.get(address)
                if peer is None or not peer.handle(decode_control(data, self.keys), now_ns):
                    raise PacketError("control message: answers no question of this receiver")
                return None
            packet = decode(data, self.keys)
        except PacketError as error:
            self.counts.refused += 1
            self.counts.refusal = str(error)
            return None
        return self._take(packet, address, now_ns)

    def due(self, now_ns: int) -> list[tuple[bytes, Address]]:
        """The datagrams to send now, with where to."""
        return [(data, peer.address) for peer in self._peers.values() for data in peer.due(now_ns)]

    def next_ns(self) -> int | None:
        """When `due` should be asked next, at the latest; None if never."""
        return min((peer.next_ns for peer in self._peers.values()), default=None)

    def goodbye(self, now_ns: int) -> list[tuple[bytes, Address]]:
        """The datagrams that end subscriptions."""
        found = [(peer.goodbye(now_ns), peer.address) for peer in self._peers.values()]
        return [(data, address) for data, address in found if data is not None]

    def _take(self, packet: Packet, address: Address, now_ns: int) -> Received | None:
        is_same_machine = is_loopback(address[0])
        peer = self._peer_of(packet, address, is_same_machine)
        if self.keys is not None and not (peer is not None and peer.stream_id == packet.stream_id):
            self.counts.unproven += 1
            if peer is not None:
                peer.prove(now_ns)
            return None
        order = self._streams.get(packet.stream_id)
        is_restart = order is None and bool(self._streams)
        lost = 0
        if order is not None:
            verdict = (judge if self.keys is None else judge_authentic)(order, packet.sequence, now_ns)
            self._streams[packet.stream_id] = verdict.order
            self.counts.lost += verdict.lost
            if not verdict.is_accepted:
                self.counts.repeated += verdict.is_repeated
                self.counts.late += not verdict.is_repeated
                return None
            lost = verdict.lost
        else:
            self._streams[packet.stream_id] = StreamOrder(packet.sequence, now_ns)
        self._streams.move_to_end(packet.stream_id)
        while len(self._streams) > MAX_STREAMS:
            self._streams.popitem(last=False)
        self.counts.received += 1
        self.counts.restarts += is_restart
        whole = self._joined(packet)
        if whole is None:
            return None
        offset = None if peer is None or is_same_machine else peer.clock.at(now_ns)
        return Received(
            whole, now_ns, is_restart, lost, is_same_machine,
            0 if is_same_machine else None if offset is None else offset.offset_ns,
            0 if offset is None else offset.error_ns,
        )  # fmt: skip

    def _peer_of(self, packet: Packet, address: Address, is_same_machine: bool) -> Peer | None:
        """The daemon that a packet comes from, if it can be asked and there is something to ask: its clock or a proof."""
        if self._is_bound_to_source:
            peer = next(iter(self._peers.values()))
            return peer if peer.address[0] == address[0] else None
        if packet.control_port == 0 or (is_same_machine and self.keys is None):
            return None
        control = (address[0], packet.control_port, *address[2:])
        peer = self._peers.get(control) or Peer(control, self.keys)
        self._peers[control] = peer
        self._peers.move_to_end(control)
        while len(self._peers) > MAX_PEERS:
            self._peers.popitem(last=False)
        return peer

    def _joined(self, packet: Packet) -> Packet | None:
        """The whole frame once its last part is here; None before."""
        if packet.part_count == 1:
            self._drop_parts()
            return packet
        if packet.part == 0:
            self._drop_parts()
            self._parts = (packet,)
            return None
        before = self._parts[-1] if self._parts else None
        if before is None or not _follows(before, packet):
            self._drop_parts()
            return None
        self._parts = (*self._parts, packet)
        if packet.part + 1 < packet.part_count:
            return None
        parts, self._parts = self._parts, ()
        return replace(packet, hands=tuple(hand for part in parts for hand in part.hands), part=0, part_count=1)

    def _drop_parts(self) -> None:
        self.counts.incomplete += bool(self._parts)
        self._parts = ()


def _follows(before: Packet, packet: Packet) -> bool:
    same = (before.stream_id, before.frame_number, before.part_count, before.part + 1)
    return same == (packet.stream_id, packet.frame_number, packet.part_count, packet.part)


def is_loopback(host: str) -> bool:
    """Whether an address is in the loopback range."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
