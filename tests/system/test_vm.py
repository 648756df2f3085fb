"""What a container does not enforce, on a kernel of its own with cgroup v2: memory, addresses, devices, scheduling, /proc/sys."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.system.conftest import CONFIG
from tests.system.probe_units import PROBES, answers, probe_unit, sandbox_of
from tests.system.root_filesystem import overlay
from tests.system.vm import AMD64, busybox, fact, run_machine

NETWORK: Final = ("send to this machine", "send to the board's USB network", "send elsewhere")
DEVICES: Final = ("null", "disk")
KERNEL: Final = ("kernel tunable", "kernel log", "realtime")
DAEMON: Final = sandbox_of("system/handmap.service")
EATER: Final = 'ExecStart=\nExecStart=/usr/bin/python3 -c "bytearray(150 << 20).count(1)"\n'
UNITS: Final = {
    "network-control": probe_unit(NETWORK, "root", DAEMON),
    "network-strict": probe_unit(NETWORK, "root", DAEMON, sandbox_of("drop-ins/strict-network.conf")),
    "devices-control": probe_unit(DEVICES, "root", DAEMON),
    "devices-strict": probe_unit(DEVICES, "root", DAEMON, sandbox_of("drop-ins/strict-devices.conf")),
    "kernel-control": probe_unit(KERNEL, "root"),
    "kernel-hardened": probe_unit(KERNEL, "root", DAEMON),
    "memory-control": probe_unit((), "handmap", DAEMON, EATER),
    "memory-limited": probe_unit((), "handmap", DAEMON, EATER + "MemoryHigh=infinity\nMemoryMax=60M\n"),
}
SCRIPT: Final = """#!/bin/sh
exec >/dev/console 2>&1
fact() { echo "FACT $1=$2"; }
of_daemon() { systemctl show handmap -p "$1" --value; }
wait_for_daemon() {  # emulated, opening the camera can take longer than the daemon allows: it is restarted then
  for second in $(seq 120); do [ "$(of_daemon ActiveState)" = active ] && return; sleep 1; done
}
busybox ip addr add 192.168.55.7/24 dev lo
busybox ip addr add 10.20.30.40/32 dev lo
group=/sys/fs/cgroup/system.slice/handmap.service
wait_for_daemon
fact state "$(of_daemon ActiveState)"
fact status "$(of_daemon StatusText)"
fact memory.max "$(cat $group/memory.max)"
fact memory.high "$(cat $group/memory.high)"
fact pids.max "$(cat $group/pids.max)"
fact oom_score_adj "$(cat /proc/$(of_daemon MainPID)/oom_score_adj)"
systemctl stop handmap  # emulated, 30 frames a second take a processor of their own
for unit in UNITS; do
  systemctl start $unit
  fact "result $unit" "$(systemctl show $unit -p Result --value)"
  echo "SAID $unit $(journalctl --namespace=+handmap -b -o cat -u $unit | grep PROBES | tail -1)"
done
mkdir -p /run/systemd/system/handmap.service.d
cp /usr/share/handmap/drop-ins/*.conf /run/systemd/system/handmap.service.d
systemctl daemon-reload
systemctl restart handmap
wait_for_daemon
fact "state with all drop-ins" "$(of_daemon ActiveState)"
fact scheduling "$(chrt -p $(of_daemon MainPID) | grep -o '[^ ]*$' | tr '\n' ' ')"
fact failed "$(systemctl --failed --plain --no-legend list-units | grep -v memory-limited)"
systemctl poweroff --force
"""
RUN: Final = """[Unit]
After=handmap.service
[Service]
Type=oneshot
ExecStart=/usr/share/vm.sh
"""


@pytest.fixture(scope="module")
def serial(layers: tuple[Path, Path]) -> Iterator[str]:
    """All that the machine said until it powered itself off."""
    with overlay(*layers) as (root, _):
        (root / "etc/handmap/config.yaml").write_text(CONFIG)
        (root / "usr/share/probes.py").write_text(PROBES)
        (root / "usr/share/vm.sh").write_text(SCRIPT.replace("UNITS", " ".join(UNITS)))
        (root / "usr/share/vm.sh").chmod(0o755)
        shutil.copy(busybox(AMD64), root / "usr/bin/busybox")
        for name, text in (UNITS | {"vm": RUN}).items():
            (root / f"etc/systemd/system/{name}.service").write_text(text)
        (root / "etc/systemd/system/multi-user.target.wants/vm.service").symlink_to("../vm.service")
        # Emulated, a start takes many times as long, and the watchdog would take that for a hang.
        slow = root / "etc/systemd/system/handmap.service.d"
        slow.mkdir()
        (slow / "slow.conf").write_text("[Service]\nTimeoutStartSec=300\nWatchdogSec=60\n")
        yield run_machine(root)


def said(serial: str, unit: str) -> dict[str, str]:
    """What a probe unit said."""
    return answers("\n".join(line for line in serial.splitlines() if f"SAID {unit} " in line))


def test_the_daemon_runs_within_its_limits(serial: str) -> None:
    assert fact(serial, "state") == "active"
    # On a busy machine the emulated one may be too slow for its camera.
    assert fact(serial, "status").startswith(("TRACKING", "NO_HAND", "DEGRADED: the camera's frames are"))
    assert int(fact(serial, "memory.max")) == 1536 << 20
    assert int(fact(serial, "memory.high")) == 1 << 30
    assert fact(serial, "pids.max") == "256"
    assert fact(serial, "oom_score_adj") == "-500"


def test_a_process_over_the_memory_limit_is_killed(serial: str) -> None:
    assert fact(serial, "result memory-control") == "success"
    assert fact(serial, "result memory-limited") == "oom-kill"


def test_strict_network_lets_packets_to_the_named_networks_only(serial: str) -> None:
    assert said(serial, "network-control") == dict.fromkeys(NETWORK, "ok")
    assert said(serial, "network-strict") == dict.fromkeys(NETWORK[:2], "ok") | {"send elsewhere": "EPERM"}


def test_strict_devices_denies_all_others(serial: str) -> None:
    assert said(serial, "devices-control") == {"null": "ok", "disk": "ok"}
    assert said(serial, "devices-strict") == {"null": "ok", "disk": "EPERM"}


def test_the_kernel_is_out_of_reach(serial: str) -> None:
    assert said(serial, "kernel-control") == dict.fromkeys(KERNEL, "ok")
    assert said(serial, "kernel-hardened") == {"kernel tunable": "EROFS", "kernel log": "EACCES", "realtime": "EPERM"}


def test_all_drop_ins_together_leave_the_daemon_running(serial: str) -> None:
    assert fact(serial, "state with all drop-ins") == "active"
    assert fact(serial, "scheduling") == "SCHED_FIFO 20"
    assert fact(serial, "failed") == ""
