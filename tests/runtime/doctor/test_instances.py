"""`handmap doctor` where several daemons run on one machine, each an instance of the template."""

from pathlib import Path

from runtime.doctor.context import DoctorContext
from runtime.doctor.machine import Machine
from runtime.doctor.report import CheckResult, Report, run_checks
from tests.support.board_tree import CONFIG, DEVICE_LIST, SERIAL, UNIT, Tree
from tests.support.doctored import run

UNITS = "usr/lib/systemd/system"
LINKS = "etc/systemd/system"


def of(report: Report, check: str) -> CheckResult:
    (found,) = (result for result in report.results if result.id == check)
    return found


def examined(tree: Tree, config: str) -> Report:
    return run_checks(DoctorContext(Machine(tree.root), Path(config)))


def two_daemons(tree: Tree) -> None:
    """left and right, each with its camera, ports and receiver; the only daemon is masked."""
    tree.file(f"{UNITS}/handmap@.service", UNIT)
    tree.link(f"{LINKS}/handmap.service", "/dev/null")
    for number, name in enumerate(("left", "right")):
        tree.link(f"{LINKS}/handmap.target.wants/handmap@{name}.service", "/usr/lib/systemd/system/handmap@.service")
        text = CONFIG.replace("kind: realsense", f"kind: realsense, serial: '{int(SERIAL) + number}'")
        text = text.replace("control: {}", f"control: {{port: {5670 + number}}}")
        tree.file(
            f"etc/handmap/{name}.yaml",
            f"{text.replace('5656', str(5656 + number))}telemetry: {{port: {9400 + number}}}\npreview: {{port: {5680 + number}}}\n",
        )


def test_the_doctor_of_an_instance_examines_its_own_units(tree: Tree) -> None:
    two_daemons(tree)
    tree.file(f"{LINKS}/handmap@.service.d/user.conf", "[Service]\nUser=vendor\n")
    tree.file(f"{LINKS}/handmap@left.service.d/user.conf", "[Service]\nUser=handmap\n")
    tree.file(f"{LINKS}/handmap@left.service.d/strict-devices.conf", DEVICE_LIST)

    left = examined(tree, "/etc/handmap/left.yaml")
    right = examined(tree, "/etc/handmap/right.yaml")

    assert {of(left, check).status for check in ("service.enabled", "service.apart", "user", "rights.config")} == {"ok"}
    assert "handmap@left.service is installed" in of(left, "service.enabled").details
    assert "handmap@left.service, handmap@right.service" in of(left, "service.apart").details
    assert "'vendor'" in of(right, "user").details and "handmap@right.service" in of(right, "user").details
    assert of(run(tree), "service.enabled").details == "handmap.service is masked"


def test_a_configuration_without_an_instance_belongs_to_the_only_daemon(tree: Tree) -> None:
    tree.file("etc/handmap/other.yaml", CONFIG)

    report = examined(tree, "/etc/handmap/other.yaml")

    assert "handmap.service is installed" in of(report, "service.enabled").details


def test_daemons_with_an_unreadable_configuration_are_not_compared(tree: Tree) -> None:
    two_daemons(tree)
    tree.file("etc/handmap/right.yaml", "camera: 1\n")

    assert of(run(tree), "service.apart").status == "ok"


def test_two_cameras_with_the_same_serial_are_one(tree: Tree) -> None:
    two_daemons(tree)
    tree.file("etc/handmap/right.yaml", (tree.root / "etc/handmap/left.yaml").read_text())

    found = of(run(tree), "service.apart")

    assert found.status == "failed" and f"one camera.serial, '{SERIAL}'" in found.details
