"""Publishing: to IPv4, IPv6 and names, numbered, and never stopped by a target that fails."""

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from handmap.protocol.fields import DaemonState, MessageType, Precision
from handmap.protocol.packet import decode
from handmap.system.notify import Notifier
from runtime import routes
from runtime.publish import ModelFacts, open_publisher
from runtime.publish_config import PublishConfig, TargetConfig
from runtime.state import DaemonStatus
from tests.support.processes import listening, port_of, receive
from tests.support.tiny_bundle import blob_frame


def status() -> DaemonStatus:
    return DaemonStatus(Notifier(None))


def wait_for(condition: Callable[[], bool], limit_s: float = 30) -> None:
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_every_target_gets_every_packet() -> None:
    with listening() as first, listening() as second:
        targets = (TargetConfig("127.0.0.1", port_of(first)), TargetConfig("127.0.0.1", port_of(second)))
        publisher = open_publisher(PublishConfig(targets))
        publisher.identify(ModelFacts(b"12345678", "hand", Precision.INT8))
        publisher.publish(blob_frame(7), [], status())
        publisher.heartbeat(status())

        for sink in (first, second):
            packets = [receive(sink), receive(sink)]
            assert [packet.sequence for packet in packets] == [0, 1]
            assert [packet.message_type for packet in packets] == [MessageType.JOINTS, MessageType.HEARTBEAT]
            assert packets[0].frame_number == 7 and packets[0].precision is Precision.INT8
            assert packets[0].state is DaemonState.STARTING and packets[0].bundle_id == b"12345678"
        publisher.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")
def test_ipv6_targets_are_reached() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sink:
        try:
            sink.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
        sink.settimeout(5)
        publisher = open_publisher(PublishConfig((TargetConfig("::1", port_of(sink)),)))

        publisher.heartbeat(status())

        assert decode(sink.recv(2000)).message_type is MessageType.HEARTBEAT
        publisher.close()


def test_failing_target_is_counted_logged_once_and_does_not_affect_the_others(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with listening() as sink:
        # The broadcast address without SO_BROADCAST: sendto is refused every time (EACCES). No configuration can hold it.
        failing = TargetConfig("127.0.0.9", 9)
        msgspec.structs.force_setattr(failing, "host", "255.255.255.255")
        targets = (failing, TargetConfig("127.0.0.1", port_of(sink)))
        publisher = open_publisher(PublishConfig(targets))

        for _ in range(5):
            publisher.heartbeat(status())

        assert [receive(sink).sequence for _ in range(5)] == [0, 1, 2, 3, 4]
        assert publisher.errors == 5
        assert [record.getMessage().split(" error=")[0] for record in caplog.records] == [
            "target=255.255.255.255:9 sending=failing"
        ]
        publisher.close()


def test_an_unresolved_name_blocks_no_one_and_joins_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    look_up = socket.getaddrinfo
    is_over, is_known = threading.Event(), threading.Event()
    answered: list[str] = []

    def name_server(host: str, *arguments: Any, **options: Any) -> Any:  # a build machine may have none at all
        if host != "late.invalid":
            return look_up(host, *arguments, **options)
        if not options.get("flags"):
            is_over.wait(20)  # an unknown name takes its time
            answered.append(host)
        if options.get("flags") or not is_known.is_set():
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up("127.0.0.1", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", name_server)
    monkeypatch.setattr(routes, "LOOK_UP_AGAIN_S", 0.05)
    with listening() as late, listening() as sink:
        targets = (TargetConfig("late.invalid", port_of(late)), TargetConfig("127.0.0.1", port_of(sink)))
        publisher = open_publisher(PublishConfig(targets))
        publisher.heartbeat(status())
        assert receive(sink).sequence == 0
        assert publisher.errors == 1 and not answered
        is_over.set()
        wait_for(lambda: "cannot be looked up" in caplog.text)

        is_known.set()
        wait_for(lambda: (publisher.heartbeat(status()), "sending=well" in caplog.text)[1])
        publisher.close()

        assert receive(late).stream_id == receive(sink).stream_id
    assert caplog.text.count("sending=failing") == 1 and caplog.text.count("cannot be looked up") == 1


def test_a_name_that_changes_its_address_is_followed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    look_up = socket.getaddrinfo
    answers: list[str] = ["127.0.0.2"]

    def name_server(host: str, *arguments: Any, **options: Any) -> Any:
        if host != "laptop.invalid":
            return look_up(host, *arguments, **options)
        if options.get("flags") or not answers:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [found for answer in answers for found in look_up(answer, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", name_server)
    monkeypatch.setattr(routes, "LOOK_UP_AGAIN_S", 0.02)
    monkeypatch.setattr(routes, "LOOK_UP_EVERY_S", 0.02)
    with listening() as there:
        publisher = open_publisher(PublishConfig((TargetConfig("laptop.invalid", port_of(there)),)))
        (target,) = publisher.targets
        wait_for(lambda: (publisher.heartbeat(status()), target.packets)[1] > 0)
        answers[:] = ["127.0.0.1"]
        wait_for(lambda: "address=127.0.0.1 was=127.0.0.2" in caplog.text)
        publisher.heartbeat(status())
        assert receive(there).message_type is MessageType.HEARTBEAT

        answers.insert(0, "127.0.0.3")  # several addresses: the one in use is still among them
        time.sleep(0.2)
        answers.clear()  # the name server is away: the last address is kept
        wait_for(lambda: "cannot be looked up" in caplog.text)
        publisher.heartbeat(status())
        assert receive(there).message_type is MessageType.HEARTBEAT
        publisher.close()

    assert caplog.text.count(" was=") == 1 and not target.is_failing


def test_two_streams_have_different_ids() -> None:
    with listening() as sink:
        for _ in range(2):
            publisher = open_publisher(PublishConfig((TargetConfig("127.0.0.1", port_of(sink)),)))
            publisher.heartbeat(status())
            publisher.close()

        assert receive(sink).stream_id != receive(sink).stream_id


def test_a_name_that_stands_for_many_machines_is_not_sent_to(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look_up = socket.getaddrinfo

    def name_server(host: str, *arguments: Any, **options: Any) -> Any:
        if options.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up("224.0.0.251", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", name_server)
    publisher = open_publisher(PublishConfig((TargetConfig("everybody.invalid", 9),)))

    wait_for(lambda: "224.0.0.251 is a multicast address" in caplog.text)
    publisher.heartbeat(status())

    assert publisher.errors == 1
    publisher.close()
