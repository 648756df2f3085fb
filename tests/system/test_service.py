"""handmap.service under a real systemd: it starts at boot, recovers from every crash, and obeys systemctl."""

import re

from handmap.protocol.fields import DaemonState, MessageType
from handmap.protocol.packet import Packet, decode
from tests.system.conftest import CONFIG
from tests.system.container import Container, has_joints, next_packet, until

PORT = 5656
BACK_S = 30.0  # after the watchdog has bitten, on a busy machine
FAULTY = """\
bundle: /usr/share/handmap/models/handmap-hand21
camera: {kind: faulty, faults: [FAULT], camera: {kind: replay, path: /usr/share/handmap/models/demo_recording}}
publish: {targets: [{host: 127.0.0.1, port: 5656}]}
"""
UNPLUGGED = FAULTY.replace("FAULT", "{kind: unplugged}")
HANGS_S = 8  # after the start, when joints have come on a busy machine too
HANGING = FAULTY.replace("FAULT", f"{{kind: engine_hangs, start_s: {HANGS_S}}}")


def main_pid(machine: Container) -> str:
    return machine.show("handmap", "MainPID")


def watchdog_s(machine: Container) -> float:
    return float(machine.show("handmap", "WatchdogUSec").removesuffix("s"))


def wait_until_back(machine: Container, old_pid: str, limit_s: float) -> None:
    """Until another process of the service is ready."""

    def is_back() -> bool:
        shown = machine.systemctl("show", "handmap", "-p", "MainPID", "-p", "ActiveState").split()
        return "ActiveState=active" in shown and f"MainPID={old_pid}" not in shown

    until(is_back, "the service is back", limit_s)


def test_it_runs_as_its_own_user_with_the_groups_of_the_devices(service: Container) -> None:
    status = service.run("cat", f"/proc/{main_pid(service)}/status").stdout
    ids = {
        group: service.run("getent", "group", group).stdout.split(":")[2] for group in ("video", "render", "plugdev")
    }
    user = service.run("id", "-u", "handmap").stdout.strip()

    assert f"Uid:\t{user}\t{user}\t{user}\t{user}\n" in status
    assert user != "0"
    (groups,) = re.findall(r"Groups:\t(.*)", status)
    assert set(ids.values()) <= set(groups.split())
    assert "CapEff:\t0000000000000000\n" in status and "NoNewPrivs:\t1\n" in status


def test_a_killed_daemon_is_back(service: Container) -> None:
    pid = main_pid(service)

    with service.socket(PORT) as sink:
        service.run("kill", "-KILL", pid)
        wait_until_back(service, pid, watchdog_s(service) + BACK_S)
        next_packet(sink, has_joints)

    assert service.show("handmap", "NRestarts") != "0"


def test_a_stopped_process_is_found_by_the_watchdog(service: Container) -> None:
    pid = main_pid(service)

    service.run("kill", "-STOP", pid)
    wait_until_back(service, pid, watchdog_s(service) + BACK_S)

    assert "Failed with result 'watchdog'" in service.journal()


def test_a_hung_loop_is_found_by_the_watchdog_though_heartbeats_go_on(service: Container) -> None:
    before = service.journal().count("Fatal Python error: Aborted")

    service.write("/etc/handmap/config.yaml", HANGING)
    service.systemctl("restart", "handmap")
    with service.socket(PORT) as sink:
        first = next_packet(sink, has_joints)
        since: list[Packet] = []
        while (packet := decode(sink.recv(2000))).stream_id == first.stream_id:
            since = [] if packet.message_type is MessageType.JOINTS else [*since, packet]
        next_packet(sink, has_joints)  # of the process after it

    assert [packet.message_type for packet in since] == [MessageType.HEARTBEAT] * len(since)
    assert len(since) >= watchdog_s(service) / 2 and since[-1].state is DaemonState.DEGRADED
    assert service.journal().count("Fatal Python error: Aborted") > before  # and where it hung is in the journal


def test_a_daemon_waiting_for_its_camera_is_ready_and_reports_it(service: Container) -> None:
    service.write("/etc/handmap/config.yaml", UNPLUGGED)

    service.systemctl("restart", "handmap")

    assert service.show("handmap", "ActiveState") == "active"
    assert service.show("handmap", "StatusText").startswith("NO_CAMERA: faulty camera: still unplugged")


def test_a_reload_is_applied_by_the_same_process(service: Container) -> None:
    pid = main_pid(service)

    with service.socket(PORT + 1) as sink:
        service.write("/etc/handmap/config.yaml", CONFIG.replace("5656", str(PORT + 1)))
        service.systemctl("reload", "handmap")
        next_packet(sink, has_joints)

    assert main_pid(service) == pid
    assert service.show("handmap", "ActiveState") == "active"


def test_a_reload_of_a_wrong_file_changes_nothing_and_reports_why(service: Container) -> None:
    pid = main_pid(service)

    with service.socket(PORT) as sink:
        service.write("/etc/handmap/config.yaml", CONFIG.replace("bundle:", "bundel:"))
        service.systemctl("reload", "handmap")
        until(lambda: "bundel" in service.show("handmap", "StatusText"), "the refusal is in the status", 90)
        next_packet(sink, has_joints)

    assert main_pid(service) == pid
    assert service.show("handmap", "ActiveState") == "active"


def test_it_stops_by_itself(service: Container) -> None:
    service.systemctl("stop", "handmap")

    assert service.show("handmap", "Result") == "success"  # timeout, had systemd killed it


def test_a_wrong_configuration_is_not_tried_again(service: Container) -> None:
    service.write("/etc/handmap/config.yaml", "camera: 1\n")

    started = service.run("systemctl", "restart", "handmap")

    assert started.returncode != 0
    assert service.show("handmap", "ActiveState") == "failed"
    assert (service.show("handmap", "ExecMainStatus"), service.show("handmap", "NRestarts")) == ("78", "0")


def test_a_process_that_keeps_dying_is_given_up(service: Container) -> None:
    service.systemctl("stop", "handmap")
    service.systemctl("reset-failed")
    service.drop_in("handmap.service", "[Service]\nExecStart=\nExecStart=/bin/sh -c 'exit 75'\n")

    service.run("systemctl", "start", "handmap")
    until(
        lambda: "repeated too quickly" in service.journal() and service.show("handmap", "ActiveState") == "failed",
        "it is given up",
        60,
    )

    assert service.show("handmap", "Result") == "exit-code"
    assert int(service.show("handmap", "NRestarts")) >= 11


def test_stopping_the_target_stops_the_daemon(service: Container) -> None:
    service.systemctl("stop", "handmap.target")
    until(lambda: service.show("handmap", "ActiveState") == "inactive", "it has stopped", 90)
    service.systemctl("start", "handmap.target")
    until(lambda: service.show("handmap", "ActiveState") == "active", "it is back", 90)
