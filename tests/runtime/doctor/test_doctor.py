"""`handmap doctor` on made-up root trees: a healthy board, the same board with one thing broken at a time, and an image."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from handmap.bundle.manifest import Bundle
from handmap.types.errors import ConfigError
from runtime.doctor.context import DoctorContext
from runtime.doctor.machine import Machine, NotApplicable
from runtime.doctor.report import CHECKS, CheckResult, Report, format_report, open_machine, run_checks
from runtime.doctor.sdk import camera_facts
from tests.support.board_tree import CAMERA, CONFIG, SERIAL, UID, VENV, Tree
from tests.support.doctored import image, run
from tests.support.processes import ROOT, handmap
from tests.support.realsense import sdk, sdk_environment
from tests.support.sick_boards import CACHE, NEEDS_ROOT, SICK, SICK_IMAGES, Break, config

needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root: files must belong to another user than the daemon"
)


def of(report: Report, check: str) -> CheckResult:
    (found,) = (result for result in report.results if result.id == check)
    return found


def expect(report: Report, check: str, status: str, details: str, fix: str) -> None:
    """The finding is as expected, no check crashed, and every command is valid shell."""
    found = of(report, check)
    assert found.status == status, found
    assert details in found.details and fix in found.fix, found
    assert not any("the check itself crashed" in result.details for result in report.results)
    for result in report.results:
        assert bool(result.fix) == (result.status in ("failed", "warning")), result
        assert subprocess.run(["sh", "-n", "-c", result.fix], check=False).returncode == 0, result.fix


def test_a_healthy_board_passes_every_check(tree: Tree) -> None:
    report = run(tree)

    assert [(result.id, result.status, result.details) for result in report.results if result.status != "ok"] == []
    assert len({result.id for result in report.results}) == len(CHECKS) >= 20
    assert report.exit_code == 0


@pytest.mark.parametrize(("check", "status", "break_it", "details", "fix"), SICK)
def test_each_fault_is_found_with_the_command_that_fixes_it(
    tree: Tree, check: str, status: str, break_it: Break, details: str, fix: str
) -> None:
    if check in NEEDS_ROOT and os.geteuid() != 0:
        pytest.skip("needs root: files must belong to another user than the daemon's")
    break_it(tree)

    report = run(tree)

    expect(report, check, status, details, fix)
    assert report.exit_code == any(result.status == "failed" for result in report.results)


def test_every_check_has_a_tree_on_which_it_fails() -> None:
    assert {check for check, *_ in SICK} == {check.id for check in CHECKS}


@needs_root
def test_files_inaccessible_to_the_daemons_user_are_found(tree: Tree) -> None:
    (tree.root / "etc/handmap").chmod(0o700)
    os.chown(tree.root / CACHE, UID + 1, -1)

    report = run(tree)

    assert of(report, "rights.config").status == "failed"
    assert (
        "cannot read" in of(report, "rights.config").details and "/etc/handmap'" in of(report, "rights.config").details
    )
    assert "chown -R handmap:" in of(report, "rights.cache").fix


def test_a_wrong_configuration_is_reported_only_once(tree: Tree) -> None:
    config("publish", "publsih")(tree)

    report = run(tree)

    assert [result.id for result in report.results if result.status == "failed"] == ["config"]
    assert of(report, "tensorrt.packages").status == "ok"  # a board can be looked at before it is configured
    assert of(report, "camera.bus").details == "there is no valid configuration"


def test_a_recording_and_onnx_runtime_need_neither_camera_nor_gpu(tree: Tree, recording: Path) -> None:
    tree.file(
        "etc/handmap/config.yaml",
        CONFIG.replace("kind: realsense", f"kind: replay, path: {recording}").replace(
            "backend: tensorrt", "backend: onnx"
        ),
    )
    tree.remove("sys/bus", "dev")
    tree.packages({})
    tree.program(f"{VENV}/bin/python", 'case "$*" in *onnxruntime*) echo 1.23.2;; *) exit 9;; esac')

    report = run_checks(DoctorContext(Machine(tree.root)), CHECKS)

    assert {result.status for result in report.results if result.id.startswith(("camera", "tensorrt", "engine"))} == {
        "not applicable"
    }
    assert of(report, "python.library").details.endswith("loads onnxruntime 1.23.2")
    assert [result.id for result in report.results if result.status == "failed"] == [
        "config.fit"
    ]  # the path is below the tree


def test_a_bare_machine_that_is_not_a_jetson_has_few_failures(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()

    report = run_checks(DoctorContext(Machine(tmp_path)))

    assert [result.id for result in report.results if result.status == "failed"] == ["config"]
    assert not any("the check itself crashed" in result.details for result in report.results)


def test_an_image_is_examined_without_running_its_programs(tree: Tree, tmp_path: Path) -> None:
    for name in ("systemctl", "journalctl", "df", "timedatectl", "v4l2-ctl"):
        tree.program(f"usr/bin/{name}", f"touch {tmp_path}/ran")
    tree.program(f"{VENV}/bin/python", f"touch {tmp_path}/ran")

    report = image(tree)

    verdicts = {result.id: result.status for result in report.results}
    looked_at = {
        "config", "bundle", "config.fit", "l4t", "tensorrt.packages", "tensorrt.opset", "cuda.libraries", "user", "python.environment",
        "camera.udev", "camera.kernel", "service.enabled", "service.apart", "rights.config", "rights.bundle", "rights.cache",
    }  # fmt: skip
    assert {check for check, status in verdicts.items() if status == "ok"} == looked_at
    assert {verdicts[check] for check in verdicts.keys() - looked_at} == {"not applicable"}
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("check", "status", "break_it", "details", "fix"), SICK_IMAGES)
def test_what_is_missing_in_an_image_is_found(
    tree: Tree, check: str, status: str, break_it: Break, details: str, fix: str
) -> None:
    break_it(tree)

    report = image(tree)

    expect(report, check, status, details, fix)
    assert report.exit_code == 1


def test_links_are_resolved_as_on_the_machine(tmp_path: Path) -> None:
    tree = Tree(tmp_path.resolve())
    tree.file("usr/share/a", "inside")
    tree.link("etc/absolute", "/usr/share/a")
    tree.link("etc/upwards", "../../../../usr/share/a")
    tree.link("etc/circle", "circle")
    machine = Machine(tree.root, is_running=False)

    assert machine.text("/etc/absolute") == machine.text("/etc/upwards") == "inside"
    assert machine.path(tree.root / "usr/share/a") == tree.root / "usr/share/a"
    assert machine.text("/etc/circle") is None
    with pytest.raises(NotApplicable, match="is not running"):
        machine.run("true")


def test_joining_the_root_group_is_never_suggested(tree: Tree) -> None:
    (tree.root / "dev/nvmap").chmod(0)
    tree.file("etc/group", f"root:x:{os.getgid()}:\nvideo:x:44:handmap\nrender:x:991:handmap\nplugdev:x:992:handmap\n")

    found = of(run(tree), "cuda.rights")

    assert found.status == "failed" and "/dev/nvmap (group root)" in found.details
    assert "usermod" not in found.fix and "udevadm trigger" in found.fix


def test_the_sdk_is_asked_for_serial_and_both_firmware_versions() -> None:
    rs = sdk()
    device = rs.software_device()
    device.register_info(rs.camera_info.name, "D435")
    device.register_info(rs.camera_info.serial_number, SERIAL)
    device.register_info(rs.camera_info.firmware_version, "5.15.1.0")

    facts = camera_facts(rs, device)

    assert facts == {
        "name": f"D435 {SERIAL} 5.15.1.0",
        "serial_number": SERIAL,
        "firmware_version": "5.15.1.0",
        "recommended_firmware_version": "",
    }
    command = [sys.executable, "-m", "handmap.runtime.doctor.sdk"]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, env=sdk_environment(), check=True)
    assert isinstance(json.loads(done.stdout), list)


def test_a_drop_in_of_the_unit_counts(tree: Tree) -> None:
    tree.file("etc/systemd/system/handmap.service.d/user.conf", "[Service]\nUser=tracker\nSupplementaryGroups=\n")
    tree.file("etc/passwd", f"tracker:x:{UID}:990::/:/bin/sh\n")

    report = run(tree)

    assert of(report, "user").details == "user 'tracker' is not in video, render, plugdev"


def test_a_crashing_check_counts_as_failed_and_the_others_continue(tree: Tree) -> None:
    tree.file("etc/passwd", "handmap:x:no-number:990::/:/bin/sh\n")

    report = run(tree)

    assert of(report, "user").status == "failed"
    assert "the check itself crashed: ValueError" in of(report, "user").details
    assert of(report, "l4t").status == "ok"


@pytest.mark.parametrize("name", ["", "none", "etc"])
def test_only_a_root_file_system_is_taken_for_an_image(tree: Tree, name: str) -> None:
    if name:
        with pytest.raises(ConfigError, match="is not an offline root file system"):
            open_machine(tree.root / name)
    else:
        assert open_machine(tree.root) == Machine(tree.root, is_running=False)


def test_this_machine_is_not_taken_for_an_image() -> None:
    assert open_machine(None) == Machine(Path("/"), is_running=True)
    with pytest.raises(ConfigError, match="omit --image"):
        open_machine(Path("/"))


def test_the_page_has_problems_first_and_whole_commands(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    tree.file(f"{CAMERA}/speed", "480")
    tree.program("usr/bin/timedatectl", "echo no")
    tree.remove("usr/bin/v4l2-ctl", "usr/sbin/nvpmodel")

    page = format_report(run(tree)).splitlines()

    first_words = [line.split()[0] for line in page[2:-2] if not line.startswith(" ")]
    assert first_words == sorted(first_words, key=["FAILED", "WARNING", "ok", "n/a"].index)
    assert first_words[:2] == ["FAILED", "WARNING"]
    assert "         > sudo timedatectl set-ntp true" in page
    assert page[-1] == f"1 failed, 1 warning, {len(CHECKS) - 4} ok, 2 not applicable"
    assert any(line == "n/a      power.mode: this machine has no nvpmodel" for line in page)
    assert max(len(line) for line in page if ">" not in line and str(tree.root) not in line) <= 80


def test_the_command_prints_json_and_its_exit_code_shows_whether_a_check_failed(tree: Tree) -> None:
    healthy = handmap("doctor", "--image", tree.root, "--json")
    tree.remove("etc/nv_tegra_release")
    sick = handmap("doctor", "--image", tree.root)

    facts = json.loads(healthy.stdout)
    assert healthy.returncode == 0 and facts["counts"]["failed"] == 0
    assert facts["machine"] == str(tree.root) and facts["config"] == str(tree.root / "etc/handmap/config.yaml")
    assert {"id", "title", "status", "details", "fix"} == set(facts["checks"][0])
    assert sick.returncode == 1 and sick.stdout.splitlines()[2].startswith("FAILED   l4t")


def test_the_command_on_this_machine_judges_the_configuration_it_is_given(
    tmp_path: Path, bundle: Bundle, recording: Path
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        f"bundle: {bundle.path}\ncamera: {{kind: replay, path: {recording}}}\n"
        "publish: {targets: [{host: 127.0.0.1, port: 9}]}\ntelemetry: {port: null}\n"
    )

    done = handmap("doctor", "--config", file, "--json")

    verdicts = {check["id"]: check["status"] for check in json.loads(done.stdout)["checks"]}
    assert [verdicts[check] for check in ("config", "bundle", "config.fit", "python.library")] == ["ok"] * 4
    assert done.returncode == int("failed" in verdicts.values())
