"""The receiver distinguishes loss from restart, skips overtaken packets, and refuses invalid ones."""

import dataclasses
import socket
import time
from collections.abc import Iterator

import pytest

from handmap.client.receiver import Receiver, open_receiver
from handmap.client.session import MAX_STREAMS, Session, is_loopback
from handmap.client.stream_order import MAX_LOST_PER_S, RESYNC_NS, RESYNC_PACKETS, StreamOrder, judge
from handmap.protocol.fields import DaemonState, MessageType
from handmap.protocol.packet import Packet, encode
from handmap.types.errors import ConfigError

PACKET = Packet(MessageType.JOINTS, DaemonState.NO_HAND, 1, 0, 0, 0, 0)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = open_receiver("127.0.0.1", 0)
    yield opened
    opened.close()


def send(receiver: Receiver, *data: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for datagram in data:
            out.sendto(datagram, ("127.0.0.1", receiver.port))


def numbered(*sequence: int, stream_id: int = 1) -> list[bytes]:
    return [encode(dataclasses.replace(PACKET, sequence=number, stream_id=stream_id)) for number in sequence]


def sequences(receiver: Receiver) -> list[int]:
    found = []
    while (received := receiver.wait(0.05)) is not None:
        found.append(received.packet.sequence)
    return found


def test_gaps_are_counted_as_loss(receiver: Receiver) -> None:
    send(receiver, *numbered(5, 6, 9, 10))

    assert sequences(receiver) == [5, 6, 9, 10]
    assert (receiver.counts.lost, receiver.counts.received) == (2, 4)


def test_overtaken_packet_is_skipped_and_no_longer_counted_as_lost(receiver: Receiver) -> None:
    send(receiver, *numbered(1, 3, 2, 3, 4))

    assert sequences(receiver) == [1, 3, 4]
    assert (receiver.counts.lost, receiver.counts.late, receiver.counts.repeated) == (0, 1, 1)


def test_counter_wraparound_is_not_counted_as_loss(receiver: Receiver) -> None:
    send(receiver, *numbered(2**32 - 1, 0, 1))

    assert sequences(receiver) == [2**32 - 1, 0, 1]
    assert receiver.counts.lost == 0


def test_restart_is_not_counted_as_loss(receiver: Receiver) -> None:
    send(receiver, *numbered(100, 101), *numbered(0, 1, stream_id=2))

    restarts = [received.is_restart for _ in range(4) if (received := receiver.wait(1)) is not None]
    assert restarts == [False, False, True, False]
    assert (receiver.counts.lost, receiver.counts.restarts) == (0, 1)


def test_invalid_packets_are_counted_and_skipped(receiver: Receiver) -> None:
    (good,) = numbered(1)
    send(receiver, b"hello", good[:-1], good + bytes(2000), good)

    assert sequences(receiver) == [1]
    assert receiver.counts.refused == 3


def test_latency_is_measured_on_the_same_machine(receiver: Receiver) -> None:
    now_ns = time.monotonic_ns()
    send(receiver, encode(dataclasses.replace(PACKET, capture_ns=now_ns - 5_000_000, publish_ns=now_ns - 2_000_000)))

    received = receiver.wait(1)

    assert received is not None and received.sender_ms == 3.0
    assert received.latency_ms is not None and 5.0 <= received.latency_ms < 500
    assert dataclasses.replace(received, clock_offset_ns=None).latency_ms is None


def test_a_forged_sequence_does_not_silence_the_stream(receiver: Receiver) -> None:
    send(receiver, *numbered(10, 11, 11 + 2**31 - 1, 12, 11 - 2**31, 13, 11 + 2**31, 14))

    assert sequences(receiver) == [10, 11, 12, 13, 14]
    assert (receiver.counts.lost, receiver.counts.late, receiver.counts.restarts) == (0, 3, 0)


def test_after_a_forged_sequence_within_bounds_the_stream_is_taken_up_again(receiver: Receiver) -> None:
    send(receiver, *numbered(10, 10 + MAX_LOST_PER_S, *range(11, 40)))

    found = sequences(receiver)

    assert found == [10, 10 + MAX_LOST_PER_S, *range(11 + RESYNC_PACKETS - 1, 40)]


def test_a_second_without_a_packet_is_enough_to_take_up_any_sequence() -> None:
    order = StreamOrder(sequence=5000, received_ns=0)

    early = judge(order, 2500, RESYNC_NS)
    late = judge(order, 2500, RESYNC_NS + 1)

    assert (early.is_accepted, late.is_accepted) == (False, True)
    assert (late.lost, late.order.sequence) == (0, 2500)


def test_a_long_outage_is_counted_as_loss() -> None:
    minute = judge(StreamOrder(sequence=100, received_ns=0), 100 + 60 * 91, 60 * 10**9)

    assert minute.is_accepted and minute.lost == 60 * 91 - 1


def test_packets_that_are_late_among_others_never_take_the_stream_back() -> None:
    order = StreamOrder(sequence=1000, received_ns=0, seen=1)

    for number in range(3 * RESYNC_PACKETS):
        order = judge(order, 1001 + number, number).order
        late = judge(order, 900 + number, number)
        order = late.order
        assert not late.is_accepted and late.lost == -1


def test_a_packet_repeated_many_times_never_takes_the_stream_back() -> None:
    order = StreamOrder(sequence=1000, received_ns=0)

    for _ in range(3 * RESYNC_PACKETS):
        verdict = judge(order, 900, 0)
        order = verdict.order
        assert not verdict.is_accepted


def test_forged_stream_ids_are_forgotten() -> None:
    session = Session()
    for stream_id in range(2, 2002):
        for data in numbered(7, stream_id=stream_id):
            session.handle(data, ("127.0.0.1", 1), 0)

    assert session.counts.received == 2000
    assert len(session._streams) == MAX_STREAMS


def test_two_streams_at_once_each_keep_their_order(receiver: Receiver) -> None:
    one, other = numbered(5, 7, 6, 8), numbered(100, 101, 102, 103, stream_id=2)
    send(receiver, *(data for both in zip(one, other, strict=True) for data in both))

    assert sequences(receiver) == [5, 100, 7, 101, 102, 8, 103]
    assert (receiver.counts.restarts, receiver.counts.lost, receiver.counts.late) == (1, 0, 1)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("192.168.1.5", False), ("fe80::1%eth0", False)],
)
def test_loopback_addresses_are_recognized(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_default_is_all_addresses(receiver: Receiver) -> None:
    everywhere = open_receiver("", 0)
    send(everywhere, *numbered(1))

    received = everywhere.wait(1)

    assert received is not None and received.is_same_machine
    everywhere.close()


def test_port_in_use_is_one_sentence(receiver: Receiver) -> None:
    with pytest.raises(ConfigError, match=r"cannot be opened \(Address already in use\); stop the program") as caught:
        open_receiver("127.0.0.1", receiver.port)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "a" * 64])
def test_unresolvable_bind_address_is_refused_with_the_option_to_correct(host: str) -> None:
    with pytest.raises(ConfigError, match="--bind"):
        open_receiver(host, 0)


def test_an_address_of_another_machine_is_not_taken_for_a_port_in_use() -> None:
    with pytest.raises(
        ConfigError, match="no network interface of this machine has that address; pass one that has with --bind"
    ):
        open_receiver("192.0.2.1", 5656)
