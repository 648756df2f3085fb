"""What plugging in a camera starts: the udev rules start handmap-camera.target, and that the enabled daemons.

A container has no udev, so the target is started by name here; tests/systemd has what the rules do.
"""

from collections.abc import Iterator

import pytest

from tests.system.container import Container, until

PLUGGED_IN = "handmap-camera.target"
UNITS = ("handmap.service", "handmap@left.service", "handmap.target")


@pytest.fixture
def stopped(service: Container) -> Iterator[Container]:
    """No daemon runs or is enabled."""
    service.systemctl("disable", "--now", *UNITS)
    until(lambda: service.show("handmap", "ActiveState") == "inactive", "it has stopped", 90)
    yield service
    service.systemctl("disable", "--now", *UNITS)
    service.systemctl("enable", "--now", "handmap.service")


def is_up(machine: Container, unit: str) -> bool:
    return machine.show(unit, "ActiveState") in ("active", "activating")


def test_an_enabled_daemon_that_was_stopped_is_started(stopped: Container) -> None:
    stopped.systemctl("enable", "handmap.service")

    stopped.systemctl("start", PLUGGED_IN)

    until(lambda: is_up(stopped, "handmap"), "it is started", 90)


def test_a_disabled_daemon_stays_down(stopped: Container) -> None:
    stopped.systemctl("start", PLUGGED_IN)
    stopped.systemctl("start", "handmap.target")

    assert not is_up(stopped, "handmap")
    assert stopped.show("handmap", "Job") == ""


def test_an_enabled_instance_is_started_and_the_disabled_daemon_is_not(stopped: Container) -> None:
    stopped.write("/etc/handmap/left.yaml", (stopped.root / "etc/handmap/config.yaml").read_text())
    stopped.systemctl("enable", "handmap@left.service")

    stopped.systemctl("start", PLUGGED_IN)

    until(lambda: is_up(stopped, "handmap@left"), "it is started", 90)
    assert not is_up(stopped, "handmap")


def test_the_next_camera_starts_it_again(stopped: Container) -> None:
    stopped.systemctl("enable", "handmap.service")
    stopped.systemctl("start", PLUGGED_IN)
    until(lambda: stopped.show(PLUGGED_IN, "ActiveState") == "inactive", "no camera needs the target", 90)
    stopped.systemctl("stop", "handmap.service")

    stopped.systemctl("start", PLUGGED_IN)

    until(lambda: is_up(stopped, "handmap"), "it is started", 90)
