"""Publishing: to IPv4, IPv6 and names, numbered, and never stopped by a target that fails."""

import logging
import socket

import pytest

from handmap.errors import ConfigError
from handmap.notify import Notifier
from handmap.packet import decode
from handmap.packet_fields import DaemonState, MessageType, Precision
from runtime.publish import open_publisher
from runtime.settings import PublishConfig, TargetConfig
from runtime.state import DaemonStatus
from tests.support.processes import listening, port_of, receive
from tests.support.tiny_bundle import blob_frame


def status() -> DaemonStatus:
    return DaemonStatus(Notifier(None))


def test_every_target_gets_every_packet() -> None:
    with listening() as first, listening() as second:
        targets = (TargetConfig("127.0.0.1", port_of(first)), TargetConfig("localhost", port_of(second)))
        publisher = open_publisher(PublishConfig(targets))
        publisher.identify(b"12345678", Precision.INT8)
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


def test_failing_target_is_counted_logged_once_and_costs_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with listening() as sink:
        # The broadcast address without SO_BROADCAST: sendto is refused every time (EACCES).
        targets = (TargetConfig("255.255.255.255", 9), TargetConfig("127.0.0.1", port_of(sink)))
        publisher = open_publisher(PublishConfig(targets))

        for _ in range(5):
            publisher.heartbeat(status())

        assert [receive(sink).sequence for _ in range(5)] == [0, 1, 2, 3, 4]
        assert publisher.errors == 5
        assert [record.getMessage().split(" error=")[0] for record in caplog.records] == [
            "target=255.255.255.255:9 sending=failing"
        ]
        publisher.close()


def test_unknown_host_is_refused_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_name(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)  # a build machine may have no name server at all

    with pytest.raises(ConfigError, match=r"'nobody\.invalid:5656'.*publish\.targets"):
        open_publisher(PublishConfig((TargetConfig("nobody.invalid"),)))


def test_two_streams_have_different_ids() -> None:
    with listening() as sink:
        for _ in range(2):
            publisher = open_publisher(PublishConfig((TargetConfig("127.0.0.1", port_of(sink)),)))
            publisher.heartbeat(status())
            publisher.close()

        assert receive(sink).stream_id != receive(sink).stream_id


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
def test_what_is_no_host_name_is_refused_in_one_sentence(host: str) -> None:
    with pytest.raises(ConfigError, match="no host name"):
        open_publisher(PublishConfig((TargetConfig(host),)))
