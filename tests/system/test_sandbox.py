"""What handmap.service is denied, each with a control that shows the same attempt succeeding without the sandbox."""

import pytest

from tests.system.container import Container
from tests.system.probe_units import PROBES, answers, probe_unit, sandbox_of

DENIED_TO_ROOT = {  # with the error that tells which line of the unit did it
    "write /etc": "EROFS",
    "write /usr": "EROFS",
    "write /opt": "EROFS",
    "write /var/log": "EROFS",
    "read /root": "EACCES",
    "read /tmp/marker": "ENOENT",
    "new namespace": "EPERM",
    "mount": "EPERM",
    "host name": "EPERM",
    "personality": "EPERM",
    "packet socket": "EAFNOSUPPORT",
    "setuid file": "EPERM",
}
LEFT = (
    "write /var/cache/handmap",
    "write /var/lib/handmap",
    "internet socket",
    "netlink socket",
    "code in memory",
    "null",
)


def tried(machine: Container, names: tuple[str, ...], user: str, sandbox: str) -> dict[str, str]:
    """What the probes said; the unit is gone afterwards."""
    machine.write("/usr/share/probes.py", PROBES)
    machine.run(
        "sh", "-c", "touch /tmp/marker; cat > /run/systemd/system/probe.service", stdin=probe_unit(names, user, sandbox)
    )
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "probe")
    return answers(machine.journal("probe"))


@pytest.mark.parametrize("unit", ["handmap.service", "handmap-engine.service"])
def test_even_root_is_denied_what_the_daemon_does_not_need(machine: Container, unit: str) -> None:
    names = tuple(DENIED_TO_ROOT)

    control = tried(machine, names, "root", "")
    denied = tried(machine, names, "root", sandbox_of(f"system/{unit}"))

    assert control == dict.fromkeys(names, "ok")
    assert denied == DENIED_TO_ROOT


def test_other_processes_are_hidden_from_the_daemon(machine: Container) -> None:
    names = ("see process 1",)

    control = tried(machine, names, "handmap", "")
    occluded = tried(machine, names, "handmap", sandbox_of("system/handmap.service"))

    assert control == {"see process 1": "ok"}
    assert occluded == {"see process 1": "ENOENT"}


@pytest.mark.parametrize("unit", ["handmap.service", "handmap-engine.service"])
def test_what_the_daemon_needs_is_allowed(machine: Container, unit: str) -> None:
    names = tuple(name for name in LEFT if unit == "handmap.service" or name != "internet socket")

    assert tried(machine, names, "handmap", sandbox_of(f"system/{unit}")) == dict.fromkeys(names, "ok")


def test_the_builder_has_no_network(machine: Container) -> None:
    found = tried(machine, ("internet socket",), "handmap", sandbox_of("system/handmap-engine.service"))

    assert found == {"internet socket": "EAFNOSUPPORT"}


def test_systemd_accepts_every_line_of_the_units(machine: Container) -> None:
    units = ("handmap.target", "handmap.service", "handmap-engine.service")
    for name in ("strict-devices", "strict-network", "realtime"):
        machine.run(
            "sh",
            "-c",
            f"mkdir -p /run/systemd/system/handmap.service.d && cp /usr/share/handmap/drop-ins/{name}.conf $_",
        )

    verified = machine.run("systemd-analyze", "verify", *units)
    machine.run("sh", "-c", "rm -r /run/systemd/system/handmap.service.d; systemctl daemon-reload")

    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
