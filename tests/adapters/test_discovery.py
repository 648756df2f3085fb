"""Discovery by the real zeroconf: a daemon's announcement is found, with its port, until it is withdrawn."""

import pytest

from handmap.client.discovery import find_daemons
from runtime.discovery import Announcement
from runtime.publish_config import ControlConfig

pytest.importorskip("zeroconf", reason="zeroconf is not installed: make test-adapter-discovery")

LOOPBACK = "127.0.0.1"


def test_an_announced_daemon_is_found_until_it_is_withdrawn() -> None:
    first = Announcement(ControlConfig(LOOPBACK, 5655), "left.arm")
    second = Announcement(ControlConfig(LOOPBACK, 5658), "right arm")
    try:
        found = {each.name: each for each in find_daemons(4, [LOOPBACK])}
    finally:
        first.close()
        second.close()

    assert (found["left-arm"].address, found["left-arm"].port, found["left-arm"].protocol) == (LOOPBACK, 5655, "1.0")
    assert found["right arm"].port == 5658
    assert find_daemons(1, [LOOPBACK]) == []


def test_two_daemons_of_one_name_are_both_found() -> None:
    both = [Announcement(ControlConfig(LOOPBACK, port), "arm") for port in (5655, 5658)]
    try:
        found = find_daemons(5, [LOOPBACK])
    finally:
        for each in both:
            each.close()

    assert sorted(each.port for each in found) == [5655, 5658]
    assert len({each.name for each in found}) == 2
