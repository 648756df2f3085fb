"""The control port: who gets packets, what is answered, and that nobody can aim it at another machine."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from handmap.client.receiver import Receiver, subscribe
from handmap.client.snapshot import ask_snapshot
from handmap.protocol.authentication import KeyRing, make_key
from handmap.protocol.control import ControlMessage, decode_control, encode_control
from handmap.protocol.fields import ControlStatus, ControlType, MessageType, Precision
from handmap.protocol.info import decode_info
from handmap.system.notify import Notifier
from handmap.types.errors import ConfigError, NoAnswer
from runtime import control
from runtime.control import ControlPort
from runtime.outlet import Outlet
from runtime.publish import ModelFacts, Publisher, open_publisher
from runtime.publish_config import ControlConfig, FrameConfig, PublishConfig
from runtime.publish_frame import CAMERA_FRAME
from runtime.state import DaemonStatus
from tests.support.processes import free_port
from tests.support.tiny_bundle import blob_frame

KEYS = KeyRing((make_key(b"k" * 32),))
INFO = b'{"version": "1", "device_name": "d"}'


@contextmanager
def control_port(
    config: ControlConfig | None = None, keys: KeyRing | None = None, ask_snapshot: Callable[[], int] = lambda: 0
) -> Iterator[ControlPort]:
    opened = ControlPort(config or ControlConfig(port=free_port()), keys, 77, lambda: INFO, ask_snapshot)
    end_s = time.monotonic() + 30
    while opened.problem and time.monotonic() < end_s:
        time.sleep(0.01)
    try:
        yield opened
    finally:
        opened.close()


class Asker:
    """A receiver's socket, one question at a time."""

    def __init__(self, port: int, keys: KeyRing | None = None) -> None:
        self.out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.out.settimeout(30)
        self.out.connect(("127.0.0.1", port))
        self.keys = keys
        self.nonce = 0

    def ask(self, kind: ControlType, token: bytes = bytes(16), lease_s: int = 0) -> ControlMessage:
        self.nonce += 1
        question = ControlMessage(kind, self.nonce, token=token, lease_s=lease_s, client_ns=time.monotonic_ns())
        self.out.send(encode_control(question, self.keys))
        answer = decode_control(self.out.recv(2000), self.keys)
        assert answer.nonce == self.nonce
        return answer

    def token(self) -> bytes:
        return self.ask(ControlType.PING).token

    def close(self) -> None:
        self.out.close()


@pytest.fixture
def askers() -> Iterator[list[Asker]]:
    made: list[Asker] = []
    yield made
    for each in made:
        each.close()


def asker(askers: list[Asker], port: int, keys: KeyRing | None = None) -> Asker:
    askers.append(Asker(port, keys))
    return askers[-1]


def test_a_ping_is_answered_with_the_times_and_a_token(askers: list[Asker]) -> None:
    with control_port() as opened:
        before_ns = time.monotonic_ns()
        pong = asker(askers, opened.port).ask(ControlType.PING)
        after_ns = time.monotonic_ns()

    assert pong.message_type is ControlType.PONG and pong.stream_id == 77
    assert before_ns <= pong.client_ns <= pong.received_ns <= pong.sent_ns <= after_ns
    assert pong.token != bytes(16)


def test_packets_go_to_a_subscriber_until_it_leaves(askers: list[Asker]) -> None:
    with control_port() as opened:
        one = asker(askers, opened.port)
        granted = one.ask(ControlType.SUBSCRIBE, one.token(), lease_s=600)
        opened.send(b"packet", lambda: None)
        arrived = one.out.recv(100)
        left = one.ask(ControlType.UNSUBSCRIBE, one.token())

        assert (granted.message_type, granted.status, granted.lease_s) == (ControlType.SUBSCRIBED, ControlStatus.OK, 30)
        assert arrived == b"packet"
        assert left.lease_s == 0 and opened.subscribers == ()


def test_a_lease_ends_by_itself(askers: list[Asker]) -> None:
    with control_port() as opened:
        one = asker(askers, opened.port)
        one.ask(ControlType.SUBSCRIBE, one.token(), lease_s=1)
        before = len(opened.subscribers)
        time.sleep(1.1)

        assert (before, len(opened.subscribers)) == (1, 0)


def test_a_token_of_another_address_is_refused(askers: list[Asker]) -> None:
    with control_port() as opened:
        one, other = asker(askers, opened.port), asker(askers, opened.port)
        stolen = one.token()

        assert other.ask(ControlType.SUBSCRIBE, stolen, 10).status is ControlStatus.BAD_TOKEN
        assert other.ask(ControlType.SUBSCRIBE, bytes(16), 10).status is ControlStatus.BAD_TOKEN
        assert other.ask(ControlType.INFO_REQUEST, stolen).info == b""
        assert other.ask(ControlType.INFO_REQUEST, other.token()).info == INFO
        assert opened.subscribers == ()


def test_a_token_is_good_for_two_periods_at_most(askers: list[Asker], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "TOKEN_S", 0.2)
    with control_port() as opened:
        one = asker(askers, opened.port)
        token = one.token()
        time.sleep(0.5)

        assert one.ask(ControlType.SUBSCRIBE, token, 10).status is ControlStatus.BAD_TOKEN


def test_no_more_subscribers_than_configured_but_every_renewal(askers: list[Asker]) -> None:
    with control_port(ControlConfig(port=free_port(), max_subscribers=16)) as opened:
        all_askers = [asker(askers, opened.port) for _ in range(17)]
        status = [each.ask(ControlType.SUBSCRIBE, each.token(), 20).status for each in all_askers]

        assert status == [ControlStatus.OK] * 16 + [ControlStatus.FULL]
        assert all_askers[0].ask(ControlType.SUBSCRIBE, all_askers[0].token(), 20).status is ControlStatus.OK
        opened.send(b"x", lambda: None)
        assert all(each.out.recv(10) == b"x" for each in all_askers[:16])


def test_no_answer_is_longer_than_what_asked_for_it(askers: list[Asker]) -> None:
    for keys in (None, KEYS):
        with control_port(keys=keys) as opened:
            one = asker(askers, opened.port, keys)
            for kind in (ControlType.PING, ControlType.SUBSCRIBE, ControlType.UNSUBSCRIBE, ControlType.INFO_REQUEST):
                question = encode_control(ControlMessage(kind, 1), keys)
                one.out.send(question)
                assert len(one.out.recv(2000)) <= len(question)


def test_what_is_no_request_gets_no_answer(askers: list[Asker]) -> None:
    with control_port() as opened:
        one = asker(askers, opened.port)
        good = encode_control(ControlMessage(ControlType.PING, 1))
        junk = [b"", b"x", good[:-1], good[:40], bytes(76), b"HMAP" + bytes(72), good[:-1] + b"?", good + bytes(1200)]
        junk += [
            encode_control(ControlMessage(kind, 1))
            for kind in (ControlType.PONG, ControlType.SUBSCRIBED, ControlType.INFO)
        ]
        for data in junk:
            one.out.send(data)
        one.out.settimeout(0.3)

        with pytest.raises(TimeoutError):
            one.out.recv(2000)
        assert opened.refused == len(junk) and opened.answered == 0


def test_a_request_with_the_wrong_key_or_none_gets_no_answer(askers: list[Asker]) -> None:
    with control_port(keys=KEYS) as opened:
        one = asker(askers, opened.port)
        one.out.settimeout(0.3)
        wrong = KeyRing((make_key(b"w" * 32),))
        for keys in (None, wrong):
            one.out.send(encode_control(ControlMessage(ControlType.PING, 1), keys))
        with pytest.raises(TimeoutError):
            one.out.recv(2000)

        assert asker(askers, opened.port, KEYS).ask(ControlType.PING).message_type is ControlType.PONG


def test_a_port_that_is_taken_is_opened_once_it_is_free(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "BIND_AGAIN_S", 0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        opened = ControlPort(ControlConfig(port=port), None, 1, lambda: INFO)
        time.sleep(0.3)
        assert opened.problem == "Address already in use"
    end_s = time.monotonic() + 30
    while opened.problem and time.monotonic() < end_s:
        time.sleep(0.02)

    opened.close()
    assert opened.problem == "" and caplog.text.count("control=off") == 1


def idle() -> DaemonStatus:
    return DaemonStatus(Notifier(None))


@contextmanager
def publishing(config: PublishConfig, keys: KeyRing | None = None) -> Iterator[Publisher]:
    publisher = Publisher(Outlet(config, (), CAMERA_FRAME, keys), lambda: None)
    try:
        yield publisher
    finally:
        publisher.close()


def first_packet(publisher: Publisher, receiver: Receiver, limit_s: float = 30) -> bool:
    """Publishes until one arrives."""
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s:
        publisher.publish(blob_frame(3), [], idle())
        received = receiver.wait(0.02)
        if received is not None and received.packet.message_type is MessageType.JOINTS:
            return True
    return False


@pytest.mark.parametrize("keys", [None, KEYS], ids=["open", "keyed"])
def test_a_subscription_brings_packets_clock_and_facts(keys: KeyRing | None) -> None:
    config = PublishConfig(control=ControlConfig(port=free_port()), device_name="left arm")
    with publishing(config, keys) as publisher, subscribe("127.0.0.1", config.control.port, keys) as receiver:  # type: ignore[union-attr]
        publisher.identify(ModelFacts(b"12345678", "hand", Precision.FP16))
        publisher.identify_camera("camera X", "0815")
        assert first_packet(publisher, receiver)
        end_s = time.monotonic() + 30
        while receiver.info is None and time.monotonic() < end_s:
            receiver.wait(0.05)

        info = receiver.info
        assert info is not None
        assert (info.device_name, info.bundle, info.precision, info.serial) == ("left arm", "hand", "fp16", "0815")
        assert info.intrinsics is not None and info.intrinsics.width == blob_frame(3).intrinsics.width_px
        assert info.joints[20] == "little_tip" and info.frame == "camera" and info.frame_from_camera is None


def test_a_name_with_an_ipv6_address_first_reaches_a_port_of_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo

    def both(host: str, *arguments: Any, **options: Any) -> Any:  # as /etc/hosts of most machines has localhost
        return [found for each in ("::1", "127.0.0.1") for found in look_up(each, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    config = PublishConfig(control=ControlConfig(port=free_port()))
    with publishing(config) as publisher, subscribe("localhost", config.control.port) as receiver:  # type: ignore[union-attr]
        assert first_packet(publisher, receiver)


def test_a_receiver_with_the_wrong_key_gets_nothing() -> None:
    config = PublishConfig(control=ControlConfig(port=free_port()))
    wrong = KeyRing((make_key(b"w" * 32),))
    with publishing(config, KEYS) as publisher, subscribe("127.0.0.1", config.control.port, wrong) as receiver:  # type: ignore[union-attr]
        assert not first_packet(publisher, receiver, 0.6)


def test_a_subscriber_finds_a_daemon_that_was_restarted() -> None:
    config = PublishConfig(control=ControlConfig(port=free_port()))
    with subscribe("127.0.0.1", config.control.port) as receiver:  # type: ignore[union-attr]
        for _ in range(2):
            with publishing(config) as publisher:
                assert first_packet(publisher, receiver)

        assert receiver.counts.restarts == 1


def test_a_change_of_targets_keeps_subscribers() -> None:
    port = free_port()
    config = PublishConfig(control=ControlConfig(port=port))
    with publishing(config) as publisher, subscribe("127.0.0.1", port) as receiver:
        assert first_packet(publisher, receiver)
        before = publisher.control

        publisher.configure(Outlet(replace_frame(config), (), CAMERA_FRAME, None))

        assert publisher.control is before
        publisher.configure(
            Outlet(PublishConfig(control=ControlConfig(port=port, max_subscribers=2)), (), CAMERA_FRAME, None)
        )
        assert publisher.control is not before and first_packet(publisher, receiver)


def replace_frame(config: PublishConfig) -> PublishConfig:
    return PublishConfig(control=config.control, device_name="other")


def test_info_names_the_configured_frame() -> None:
    frame = FrameConfig("robot_base", (1.0, 2.0, 3.0), (0.0, 0.0, 1.0, 0.0))
    publisher = open_publisher(PublishConfig(control=ControlConfig(port=free_port()), frame=frame))

    info = decode_info(publisher.info())
    publisher.close()

    assert info.frame == "robot_base"
    assert info.frame_from_camera == ((-1, 0, 0, 1), (0, -1, 0, 2), (0, 0, 1, 3))


def test_a_flood_is_read_at_a_bounded_rate(askers: list[Asker]) -> None:
    with control_port() as opened:
        flooder = asker(askers, opened.port)
        end_s = time.monotonic() + 1
        while time.monotonic() < end_s:
            flooder.out.send(b"junk" * 20)

        assert 0 < opened.refused < 3 * control.BATCH / control.REST_S
        time.sleep(1)  # what was sent while the buffer was full is lost
        assert asker(askers, opened.port).ask(ControlType.PING).message_type is ControlType.PONG


def test_a_snapshot_is_taken_for_this_machine_once_however_often_its_answer_is_lost(askers: list[Asker]) -> None:
    asked: list[int] = []

    def ask() -> int:
        asked.append(1)
        return len(asked)

    with control_port(ask_snapshot=ask) as opened:
        one = asker(askers, opened.port)
        token = one.token()
        answers = [one.ask(ControlType.SNAPSHOT, token) for _ in range(3)]
        ask_snapshot("127.0.0.1", opened.port)

        assert [each.status for each in answers] == [ControlStatus.OK] * 3
        assert {each.message_type for each in answers} == {ControlType.SNAPSHOT_TAKEN}
        assert asked == [1]
        assert one.ask(ControlType.SNAPSHOT, bytes(16)).status is ControlStatus.BAD_TOKEN


def test_without_a_recorder_a_snapshot_is_refused(askers: list[Asker]) -> None:
    with control_port() as opened:
        one = asker(askers, opened.port)

        assert one.ask(ControlType.SNAPSHOT, one.token()).status is ControlStatus.NOT_ALLOWED
        with pytest.raises(ConfigError, match="does not allow"):
            ask_snapshot("127.0.0.1", opened.port)


@pytest.mark.parametrize(("keys", "status"), [(None, ControlStatus.NOT_ALLOWED), (KEYS, ControlStatus.OK)])
def test_another_machine_needs_the_key_for_a_snapshot(keys: KeyRing | None, status: ControlStatus) -> None:
    with control_port(keys=keys, ask_snapshot=lambda: 1) as opened:
        address = ("192.0.2.7", 4000)
        ping = opened.answer(encode_control(ControlMessage(ControlType.PING, 1), keys), address, 0)
        assert ping is not None
        token = decode_control(ping, keys).token
        answer = opened.answer(encode_control(ControlMessage(ControlType.SNAPSHOT, 2, token=token), keys), address, 0)

        assert answer is not None
        assert decode_control(answer, keys).status is status


def test_nobody_there_to_take_a_snapshot_is_said() -> None:
    with pytest.raises(NoAnswer, match="no daemon answers"):
        ask_snapshot("127.0.0.1", free_port(), limit_s=0.5)
