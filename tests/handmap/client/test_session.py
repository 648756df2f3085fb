"""What a receiver makes of datagrams: exact counts over a lossy relay, the clock's offset, and nothing from who does not belong."""

import dataclasses
import heapq
import random
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from handmap.client.clock_offset import MAX_DRIFT, ClockOffset, Exchange
from handmap.client.peer import Peer
from handmap.client.session import MAX_PEERS, Received, Session
from handmap.protocol.authentication import KeyRing, make_key
from handmap.protocol.control import ControlMessage, decode_control, encode_control
from handmap.protocol.fields import ControlStatus, ControlType, DaemonState, MessageType
from handmap.protocol.info import DaemonInfo, encode_info
from handmap.protocol.packet import Packet, encode
from handmap.protocol.parts import split
from tests.handmap.protocol.test_packet import joints_packet, plain_hand, with_skeleton

MS = 1_000_000
S = 1000 * MS
HERE, THERE = ("127.0.0.1", 40000), ("192.0.2.7", 40000)
KEY, OTHER = make_key(b"1" * 32), make_key(b"2" * 32)
PACKET = Packet(MessageType.JOINTS, DaemonState.NO_HAND, 1, 0, 0, 0, 0)


def datagram(sequence: int, stream_id: int = 1, keys: KeyRing | None = None, control_port: int = 0) -> bytes:
    return encode(dataclasses.replace(PACKET, sequence=sequence, stream_id=stream_id, control_port=control_port), keys)


def lossy(sequences: range, seed: int) -> Iterator[tuple[int, bool, bool]]:
    """A relay's output: number, whether it is overtaken, whether it is a repetition; 2 % lost, 2 % repeated, 3 % overtaken."""
    chance = random.Random(seed)
    newest, seen = -1, set[int]()
    arrivals: list[tuple[float, int]] = []
    for number in sequences:
        copies = 0 if number and chance.random() < 0.02 else 2 if chance.random() < 0.02 else 1
        for _ in range(copies):
            heapq.heappush(
                arrivals, (number + (chance.uniform(1, 5) if number > 0 and chance.random() < 0.03 else 0), number)
            )
    while arrivals:
        _, number = heapq.heappop(arrivals)
        yield number, number < newest and number not in seen, number in seen
        newest = max(newest, number)
        seen.add(number)


@pytest.mark.parametrize("seed", range(20))
def test_counts_over_a_lossy_relay_are_exact(seed: int) -> None:
    session = Session()
    came = list(lossy(range(2000), seed))
    accepted = [
        number for at, (number, _, _) in enumerate(came) if session.handle(datagram(number), HERE, at * 16 * MS)
    ]

    late, repeated = sum(is_late for _, is_late, _ in came), sum(is_repeated for _, _, is_repeated in came)
    arrived = {number for number, _, _ in came}
    lost = max(arrived) + 1 - len(arrived)
    counts = session.counts
    assert late > 5 and repeated > 5 and lost > 5
    assert (counts.late, counts.repeated, counts.lost, counts.restarts) == (late, repeated, lost, 0)
    assert accepted == sorted(accepted) and len(accepted) == counts.received == len(arrived) - late


def test_a_restart_is_told_from_loss_over_a_lossy_relay() -> None:
    session = Session()
    for stream_id in (1, 2, 3):
        for at, (number, _, _) in enumerate(lossy(range(500), stream_id)):
            session.handle(datagram(number, stream_id), HERE, (stream_id * 1000 + at) * 16 * MS)

    lost = sum(500 - len({number for number, _, _ in lossy(range(500), stream_id)}) for stream_id in (1, 2, 3))
    assert (
        session.counts.restarts == 2 and session.counts.lost <= lost and lost - session.counts.lost <= 3
    )  # at the very end


@pytest.mark.parametrize(("offset_ms", "drift_ppm"), [(20, 50), (-20, -50), (20, -50), (0, 0)])
@pytest.mark.parametrize("seed", range(10))
def test_the_clock_s_offset_is_known_to_half_a_millisecond(offset_ms: float, drift_ppm: float, seed: int) -> None:
    errors = clock_errors_ns(offset_ms, drift_ppm, seed)

    assert max(errors) < 0.5 * MS


def clock_errors_ns(offset_ms: float, drift_ppm: float, seed: int) -> list[int]:
    """The offset's errors over a minute, the first two seconds left out, with 5 ms of jitter each way."""
    chance = np.random.default_rng(seed)
    peer = Peer(THERE)
    start_ns = 10**15

    def theirs(ours_ns: int) -> int:
        return ours_ns + round(offset_ms * MS) + round((ours_ns - start_ns) * drift_ppm * 1e-6)

    errors = []
    now_ns = start_ns
    while now_ns < start_ns + 60 * S:
        now_ns = max(peer.next_ns, now_ns + 1)
        for question in map(decode_control, peer.due(now_ns)):
            if question.message_type is not ControlType.PING:
                continue
            there, back = (round(each) for each in chance.uniform(0.2, 5.2, 2) * MS)  # 5 ms of jitter each way
            pong = ControlMessage(
                ControlType.PONG, question.nonce, client_ns=question.client_ns, token=b"t" * 16,
                received_ns=theirs(now_ns + there), sent_ns=theirs(now_ns + there) + 50_000,
            )  # fmt: skip
            assert peer.handle(pong, now_ns + there + back + 50_000)
        offset = peer.clock.at(now_ns + 12 * MS)
        if now_ns > start_ns + 2 * S:
            assert offset is not None
            error_ns = offset.offset_ns - (theirs(now_ns + 12 * MS) - (now_ns + 12 * MS))
            assert abs(error_ns) <= offset.error_ns
            errors.append(abs(error_ns))
    return errors


def test_a_clock_that_steps_is_followed() -> None:
    clock = ClockOffset()
    for step, offset_ns in enumerate([5 * MS] * 8 + [900 * MS] * 8):
        at_ns = step * S // 4
        clock.add(Exchange(at_ns, at_ns + MS + offset_ns, at_ns + MS + offset_ns, at_ns + 2 * MS))

    known = clock.at(4 * S)

    assert known is not None and abs(known.offset_ns - 900 * MS) <= known.error_ns < 2 * MS


def test_an_offset_gets_less_certain_with_time() -> None:
    clock = ClockOffset()
    for step in range(8):
        clock.add(Exchange(step * S // 4, step * S // 4 + MS, step * S // 4 + MS, step * S // 4 + 2 * MS))
    soon, later = clock.at(2 * S), clock.at(12 * S)

    assert soon is not None and later is not None
    assert later.error_ns - soon.error_ns == pytest.approx(MAX_DRIFT * 10 * S, rel=0.1)


class Daemon:
    """The other side of a session, answering at once; its keys and its clock are its own."""

    def __init__(self, session: Session, keys: KeyRing | None, stream_id: int = 1, ahead_ns: int = 0) -> None:
        self.session, self.keys, self.stream_id, self.ahead_ns = session, keys, stream_id, ahead_ns
        self.asked: list[ControlType] = []

    def answer(self, now_ns: int, change: Callable[[ControlMessage], ControlMessage] = lambda message: message) -> None:
        for data, address in self.session.due(now_ns):
            question = decode_control(data, self.keys)
            self.asked.append(question.message_type)
            kind = {
                ControlType.PING: ControlType.PONG,
                ControlType.SUBSCRIBE: ControlType.SUBSCRIBED,
                ControlType.INFO_REQUEST: ControlType.INFO,
            }[question.message_type]
            there_ns = now_ns + MS + self.ahead_ns
            reply = ControlMessage(
                kind, question.nonce, ControlStatus.OK, question.lease_s, self.stream_id, b"t" * 16, question.client_ns,
                there_ns, there_ns, encode_info(DaemonInfo("1", "d")) if kind is ControlType.INFO else b"",
            )  # fmt: skip
            self.session.handle(encode_control(change(reply), self.keys), address, now_ns + 2 * MS)


def proven(keys: KeyRing, stream_id: int = 1) -> Session:
    """A session that a daemon with these keys has proven this stream to."""
    session = Session(keys)
    assert session.handle(datagram(0, stream_id, keys, 5655), THERE, 0) is None
    Daemon(session, keys, stream_id).answer(0)
    return session


RING = KeyRing((KEY,))


def test_an_authentic_stream_is_accepted_once_its_sender_has_proven_to_be_there() -> None:
    session = proven(RING)

    received = session.handle(datagram(1, keys=RING, control_port=5655), THERE, 20 * MS)

    assert received is not None and session.counts.unproven == 1


def accepted(session: Session, *datagrams: bytes, at_ms: int = 100) -> int:
    return sum(session.handle(data, THERE, (at_ms + at) * MS) is not None for at, data in enumerate(datagrams))


def test_spoofed_and_wrongly_keyed_packets_are_not_accepted() -> None:
    session = proven(RING)
    good = datagram(5, keys=RING, control_port=5655)
    forged = [
        datagram(6, control_port=5655),
        datagram(6, keys=KeyRing((OTHER,)), control_port=5655),
        good[:30] + b"\x77" + good[31:],
        *(datagram(6, stream_id, KeyRing((OTHER,)), 5655) for stream_id in range(2, 40)),
    ]

    assert accepted(session, *forged) == 0
    assert session.counts.refused == len(forged)
    assert accepted(session, good) == 1


def test_a_changed_packet_with_a_fitting_checksum_is_not_accepted() -> None:
    session = proven(RING)
    body = bytearray(datagram(5, keys=RING, control_port=5655)[:-4])
    body[14] = 3
    changed = bytes(body) + zlib.crc32(body).to_bytes(4, "little")

    assert accepted(session, changed) == 0 and "forged or changed" in session.counts.refusal


def test_replayed_packets_are_not_accepted_however_many() -> None:
    session = proven(RING)
    recorded = [datagram(number, keys=RING, control_port=5655) for number in range(1, 200)]
    assert accepted(session, *recorded) == 199

    assert accepted(session, *recorded, *recorded[50:], at_ms=5000) == 0
    assert session.counts.repeated + session.counts.late == 199 + 149


def test_a_replayed_stream_of_yesterday_is_not_accepted() -> None:
    yesterday = [datagram(number, 9, RING, 5655) for number in range(100)]
    session = proven(RING)
    assert accepted(session, datagram(1, 1, RING, 5655)) == 1

    assert accepted(session, *yesterday, at_ms=2000) == 0
    assert session.counts.unproven == 101 and session.counts.restarts == 0
    Daemon(session, RING, stream_id=1).answer(3 * S)
    assert accepted(session, *yesterday, at_ms=4000) == 0
    assert accepted(session, datagram(2, 1, RING, 5655), at_ms=5000) == 1


def test_a_replayed_proof_proves_nothing() -> None:
    kept: list[bytes] = []

    def keep(message: ControlMessage) -> ControlMessage:
        kept.append(encode_control(message, RING))
        return message

    session = Session(RING)
    session.handle(datagram(0, 1, RING, 5655), THERE, 0)
    daemon = Daemon(session, RING, 1)
    daemon.answer(0, keep)
    later = Session(RING)
    later.handle(datagram(0, 1, RING, 5655), THERE, 0)
    list(later.due(0))

    for proof in kept:
        later.handle(proof, ("192.0.2.7", 5655), MS)

    assert accepted(later, datagram(1, 1, RING, 5655)) == 0


def test_a_stale_key_is_refused_and_a_new_one_can_come_before_the_old_one_goes() -> None:
    both, new = KeyRing((KEY, OTHER)), KeyRing((OTHER,))
    old_sender = datagram(1, keys=RING, control_port=5655)
    session = proven(both)
    assert accepted(session, old_sender) == 1
    assert accepted(session, datagram(2, keys=KeyRing((OTHER, KEY)), control_port=5655)) == 1

    strict = proven(new)

    assert accepted(strict, old_sender) == 0 and "does not have" in strict.counts.refusal


def test_an_authenticated_stream_can_be_read_without_a_key() -> None:
    assert accepted(Session(), datagram(1, keys=RING), datagram(2, keys=RING)) == 2


def test_the_control_port_of_a_made_up_sender_is_asked_no_more_than_of_few() -> None:
    session = Session()
    for number in range(50):
        session.handle(datagram(number, control_port=5655), (f"192.0.2.{number}", 4000), number * MS)

    assert len(session.peers) == MAX_PEERS


def test_an_unasked_answer_is_refused() -> None:
    session = Session()
    session.handle(datagram(1, control_port=5655), THERE, 0)
    pong = encode_control(ControlMessage(ControlType.PONG, 4711, stream_id=1))

    assert session.handle(pong, ("192.0.2.7", 5655), MS) is None
    assert session.counts.refused == 1 and "answers no question" in session.counts.refusal


def test_latency_is_corrected_by_the_clock_offset() -> None:
    session = Session()
    session.handle(datagram(0, control_port=5655), THERE, 0)
    daemon = Daemon(session, None, ahead_ns=700 * MS)
    for step in range(12):
        daemon.answer(step * 50 * MS)
    captured = dataclasses.replace(PACKET, sequence=1, control_port=5655, capture_ns=1200 * MS, publish_ns=1210 * MS)

    received = session.handle(encode(captured), THERE, 520 * MS)  # 1,220 ms by the sender's clock

    assert received is not None and received.latency_ms == pytest.approx(20, abs=1.1)
    assert received.age_ms(530 * MS) == pytest.approx(30, abs=1.1)
    assert not received.is_same_machine


def test_a_frame_in_parts_comes_out_whole_and_one_with_a_part_missing_not_at_all() -> None:
    hands = [with_skeleton(plain_hand(number)) for number in range(5)]
    session = Session()
    datagrams: list[bytes] = []
    for frame in range(3):
        packet = dataclasses.replace(joints_packet(*hands), frame_number=frame)
        for part in split(packet):
            datagrams.append(encode(dataclasses.replace(part, sequence=len(datagrams))))
    del datagrams[4]

    received = [session.handle(data, HERE, at * MS) for at, data in enumerate(datagrams)]

    whole = [each for each in received if isinstance(each, Received)]
    assert [each.packet.frame_number for each in whole] == [0, 2]
    assert [hand.track_id for hand in whole[0].hands] == [0, 1, 2, 3, 4]
    assert session.counts.incomplete == 1 and session.counts.lost == 1


def test_a_subscription_is_renewed_and_its_daemon_asked_less_often_while_it_is_silent() -> None:
    session = Session(source=THERE, lease_s=9)
    daemon = Daemon(session, None)
    for step in range(200):
        daemon.answer(step * 50 * MS)

    renewals = daemon.asked.count(ControlType.SUBSCRIBE)
    assert 4 <= renewals <= 6 and daemon.asked.count(ControlType.INFO_REQUEST) == 1
    silent = [len(session.due((10 * 1000 + step * 50) * MS)) for step in range(600)]
    assert sum(silent[:100]) <= 60 and sum(silent[300:]) <= 80


def test_a_full_daemon_is_asked_again_and_the_reason_is_told() -> None:
    session = Session(source=THERE)
    daemon = Daemon(session, None)
    full = lambda message: dataclasses.replace(message, status=ControlStatus.FULL, lease_s=0)  # noqa: E731
    for step in range(40):
        daemon.answer(step * 100 * MS, full)

    assert "max_subscribers" in session.peers[0].problem
    assert 3 <= daemon.asked.count(ControlType.SUBSCRIBE) <= 6
