"""A machine as it is after a boot, with nothing done to it but what installing does."""

from handmap.protocol.fields import DaemonState
from tests.system.container import Container, has_joints, next_packet, until

PORT = 5656


def test_one_enable_is_enough_for_joints_after_a_boot(fresh_machine: Container) -> None:
    with fresh_machine.socket(PORT) as sink:
        until(lambda: fresh_machine.show("handmap", "ActiveState") == "active", "the service is ready", 90)
        packet = next_packet(sink, has_joints)

    assert packet.state is DaemonState.TRACKING
    assert packet.hands[0].xyz_m.shape == (21, 3)
    assert fresh_machine.show("handmap", "NRestarts") == "0"
    assert fresh_machine.systemctl("is-enabled", "handmap.target", "handmap.service").split() == ["enabled", "enabled"]
    assert fresh_machine.systemctl("is-active", "handmap.target") == "active"
    assert fresh_machine.run("systemctl", "--failed", "--plain", "--no-legend", "list-units", "handmap*").stdout == ""


def test_without_an_engine_in_the_configuration_it_is_skipped_at_boot(fresh_machine: Container) -> None:
    assert fresh_machine.show("handmap-engine", "Result") == "exec-condition"
    assert fresh_machine.show("handmap-engine", "ActiveState") == "inactive"
    assert fresh_machine.show("handmap-engine", "ExecMainStartTimestampMonotonic") == "0"


def test_the_user_and_the_folders_come_from_the_packaged_files(fresh_machine: Container) -> None:
    owners = fresh_machine.run(
        "stat", "-c", "%U:%G %a", "/etc/handmap", "/var/cache/handmap", "/var/lib/handmap"
    ).stdout

    assert owners.splitlines() == ["root:root 755", "handmap:handmap 700", "handmap:handmap 750"]
    assert (
        fresh_machine.run("getent", "passwd", "handmap").stdout.rstrip().endswith(":/var/lib/handmap:/usr/sbin/nologin")
    )
    assert fresh_machine.run("systemctl", "preset", "--dry-run", "handmap.target").returncode == 0


def test_the_daemon_has_a_journal_of_its_own_with_limits(fresh_machine: Container) -> None:
    ours = fresh_machine.run("journalctl", "--namespace=handmap", "-b", "-o", "cat").stdout
    both = fresh_machine.run("journalctl", "--namespace=+handmap", "-b", "-o", "cat", "-u", "handmap").stdout
    machines = fresh_machine.run("journalctl", "-b", "-o", "cat", "-u", "handmap").stdout

    assert "state=TRACKING" in ours and "state=TRACKING" not in machines
    assert "max 200.0M" in ours or "max 50.0M" in ours
    assert "state=TRACKING" in both and "Started " in both  # what systemd says of the unit stays with the machine


def test_the_journal_of_the_machine_keeps_its_own_limits(fresh_machine: Container) -> None:
    shown = fresh_machine.run("systemd-analyze", "cat-config", "systemd/journald.conf").stdout

    assert "handmap" not in shown and "200M" not in shown
