"""Multicast and broadcast: packets arrive at whoever has joined, by an interface that may come later; and packets go before others."""

import socket
import struct

import pytest

from handmap.client.receiver import open_receiver
from handmap.system.notify import Notifier
from handmap.types.errors import ConfigError
from runtime.publish import open_publisher
from runtime.publish_config import BroadcastConfig, MulticastConfig, PublishConfig, TargetConfig
from runtime.state import DaemonStatus
from tests.support.processes import free_port, listening, port_of

GROUP = "239.255.77.1"


def idle() -> DaemonStatus:
    return DaemonStatus(Notifier(None))


def test_a_multicast_group_gets_every_packet_on_its_interface() -> None:
    port = free_port()
    with open_receiver(GROUP, port, interface="lo") as receiver:
        publisher = open_publisher(PublishConfig(multicast=MulticastConfig(GROUP, "lo", port)))

        publisher.heartbeat(idle())

        received = receiver.wait(2)
        publisher.close()
    assert received is not None and publisher.targets[0].packets == 1


@pytest.mark.skipif(not socket.has_ipv6, reason="this Python has no IPv6")
def test_an_ipv6_group_gets_every_packet() -> None:
    port = free_port()
    try:
        opened = open_receiver("ff01::4d50", port, interface="lo")
    except ConfigError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    with opened as receiver:
        publisher = open_publisher(PublishConfig(multicast=MulticastConfig("ff01::4d50", "lo", port)))

        publisher.heartbeat(idle())

        errors, received = publisher.errors, receiver.wait(2)
        publisher.close()
    if errors:
        pytest.skip("this machine has no IPv6 route on its loopback interface")
    assert received is not None


def test_an_interface_that_is_not_there_is_an_error_of_sending(caplog: pytest.LogCaptureFixture) -> None:
    publisher = open_publisher(PublishConfig(multicast=MulticastConfig(GROUP, "nowhere0", 5000)))

    for _ in range(3):
        publisher.heartbeat(idle())

    publisher.close()
    assert publisher.errors == 3 and caplog.text.count("sending=failing") == 1
    assert f"target={GROUP}%nowhere0:5000" in caplog.text and "no interface with this name" in caplog.text.lower()


def test_joining_on_an_interface_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'nowhere0'.*ip link"):
        open_receiver(GROUP, 0, interface="nowhere0")
    with pytest.raises(ConfigError, match="name the network interface"):
        open_receiver(GROUP, 0)
    with pytest.raises(ConfigError, match="is not a multicast group"):
        open_receiver("127.0.0.1", 0, interface="lo")


def test_a_broadcast_reaches_the_network() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("", 0))
        sink.settimeout(2)
        publisher = open_publisher(PublishConfig(broadcast=BroadcastConfig("127.255.255.255", port_of(sink))))

        publisher.heartbeat(idle())

        assert sink.recv(2000).startswith(b"HMAP")
        publisher.close()


def test_packets_ask_for_expedited_forwarding() -> None:
    with listening() as sink:
        sink.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        publisher = open_publisher(PublishConfig((TargetConfig("127.0.0.1", port_of(sink)),)))

        publisher.heartbeat(idle())

        _, ancillary, _, _ = sink.recvmsg(2000, socket.CMSG_SPACE(4))
        publisher.close()
    assert [struct.unpack("B", data[:1])[0] >> 2 for _, _, data in ancillary] == [46]
