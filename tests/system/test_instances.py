"""Two daemons of the template: each with its configuration, its port and its stream, started by the boot's targets."""

from collections.abc import Iterator

import pytest

from tests.system.conftest import CONFIG
from tests.system.container import Container, has_joints, next_packet, until

PORTS = {"left": (5661, 9401), "right": (5662, 9402)}  # of the receiver, and of telemetry


@pytest.fixture(scope="module")
def two(fresh_machine: Container) -> Iterator[Container]:
    """The only daemon is disabled, as operating.md says, and two are enabled."""
    for name, (port, telemetry) in PORTS.items():
        text = f"{CONFIG.replace('5656', str(port))}telemetry: {{port: {telemetry}}}\npreview: {{port: {port + 10}}}\n"
        fresh_machine.write(f"/etc/handmap/{name}.yaml", text)
    fresh_machine.systemctl("disable", "--now", "handmap.service")
    fresh_machine.systemctl("enable", "--now", "handmap@left", "handmap@right")
    for name in PORTS:
        until(lambda: fresh_machine.show(f"handmap@{name}", "StatusText") == "TRACKING", f"{name} tracks", 60)  # noqa: B023  asked at once
    yield fresh_machine


def test_each_sends_a_stream_of_its_own(two: Container) -> None:
    streams = set()
    for port, _ in PORTS.values():
        with two.socket(port) as sink:
            streams.add(next_packet(sink, has_joints).stream_id)

    assert len(streams) == 2
    assert two.show("handmap", "ActiveState") == "inactive"


def test_each_writes_snapshots_into_a_folder_of_its_own(two: Container) -> None:
    for name in PORTS:
        written = two.run("handmap", "snapshot", "--config", f"/etc/handmap/{name}.yaml").stdout

        assert f"/var/lib/handmap/{name}/snapshots/flight-" in written


def test_status_finds_each_by_its_configuration(two: Container) -> None:
    for name, (port, _) in PORTS.items():
        shown = two.run("handmap", "status", "--config", f"/etc/handmap/{name}.yaml").stdout

        assert f"/etc/handmap/{name}.yaml" in shown and f"127.0.0.1:{port}" in shown


def test_one_is_restarted_without_the_other(two: Container) -> None:
    right = two.show("handmap@right", "MainPID")

    two.run("kill", "-KILL", two.show("handmap@left", "MainPID"))
    until(lambda: int(two.show("handmap@left", "NRestarts")) > 0, "left is back", 90)

    assert two.show("handmap@right", "MainPID") == right


def test_the_target_restarts_both(two: Container) -> None:
    before = [two.show(f"handmap@{name}", "MainPID") for name in PORTS]

    two.systemctl("restart", "handmap.target")
    until(lambda: all(two.show(f"handmap@{name}", "ActiveState") == "active" for name in PORTS), "both are back", 120)

    assert not set(before) & {two.show(f"handmap@{name}", "MainPID") for name in PORTS}


def test_each_instance_checks_whether_it_needs_an_engine(two: Container) -> None:
    for name in PORTS:
        unit = f"handmap-engine@{name}"
        until(lambda unit=unit: two.show(unit, "Result") == "exec-condition", f"{unit} has checked", 60)  # type: ignore[misc]  # a default argument
