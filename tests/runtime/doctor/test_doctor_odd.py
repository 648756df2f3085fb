"""`handmap doctor` on odd situations that do happen: empty kernel files, drop-ins, links, sandboxes, programs that hang."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from handmap.types.errors import ConfigError
from runtime.doctor import machine
from runtime.doctor.account import read_unit
from runtime.doctor.context import DoctorContext
from runtime.doctor.machine import Answer, Machine
from runtime.doctor.report import CheckResult, Report, open_machine
from tests.support.board_tree import CAMERA, CONFIG, PACKAGES, SOCKETS, UID, UNIT, Tree
from tests.support.doctored import image, run

UNITS = "usr/lib/systemd/system"
LINKS = "etc/systemd/system"
BUNDLE = "usr/share/handmap/models/handmap-hand21"
STRICT = (
    "[Service]\nProtectHome=yes\nProtectSystem=strict\nPrivateTmp=yes\nCacheDirectory=handmap\nStateDirectory=handmap\n"
)


def of(report: Report, check: str) -> CheckResult:
    (found,) = (result for result in report.results if result.id == check)
    assert subprocess.run(["sh", "-n", "-c", found.fix], check=False).returncode == 0, found.fix
    return found


@contextmanager
def as_nobody() -> Iterator[None]:
    """The rights of another user, where root runs the tests."""
    if os.geteuid() != 0:
        pytest.skip("needs root: to be another user for a moment")
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("name", "content", "check", "details"),
    [
        ("proc/devices", "", "cuda.device_list", "/proc/devices shows no devices"),
        ("proc/net/tcp", "", "network.telemetry", "shows no sockets in /proc/net/tcp or /proc/net/tcp6"),
        ("proc/net/udp", "", "network.receivers", "shows no sockets in /proc/net/udp or /proc/net/udp6"),
    ],
)
def test_an_empty_file_of_the_kernel_proves_nothing(
    tree: Tree, name: str, content: str, check: str, details: str
) -> None:
    tree.file(name, content)

    found = of(run(tree), check)

    assert found.status == "not applicable" and details in found.details


def test_a_journal_that_keeps_nothing_proves_nothing(tree: Tree) -> None:
    tree.program("usr/bin/journalctl", "echo 'No journal files were found.' >&2; echo '-- No entries --'")

    assert of(run(tree), "service.journal").status == "not applicable"


def test_offline_cores_have_no_clock(tree: Tree) -> None:
    (tree.root / "sys/devices/system/cpu/cpufreq/policy4").mkdir()

    found = of(run(tree), "power.clocks")

    assert found.status == "ok" and "policy4" not in found.details


def test_drop_ins_are_ordered_by_name_and_etc_overrides_packages(tree: Tree) -> None:
    tree.file(f"{UNITS}/handmap.service.d/20-user.conf", "[Service]\nUser=vendor\n")
    tree.file(f"{UNITS}/handmap.service.d/90-cache.conf", "[Service]\nCacheDirectory=vendor\n")
    tree.file(f"{LINKS}/handmap.service.d/20-user.conf", "[Service]\n User = tracker \n")
    tree.file(f"{LINKS}/handmap.service.d/50-cache.conf", "[Service]\nCacheDirectory=mine\n")

    keys = read_unit(Machine(tree.root), "handmap.service")

    assert keys is not None and (keys["User"], keys["CacheDirectory"]) == ("tracker", "vendor")


def test_a_unit_whose_user_is_set_back_runs_as_root(tree: Tree) -> None:
    tree.file(f"{LINKS}/handmap.service.d/user.conf", "[Service]\nUser=\n")

    assert "runs as root" in of(run(tree), "user").details


def test_directory_service_entries_in_passwd_and_group_are_skipped(tree: Tree) -> None:
    for name in ("etc/passwd", "etc/group"):
        text = (tree.root / name).read_text()
        tree.file(name, f"{text}+::::::\n-@lab::::::\n")

    report = run(tree)

    assert [of(report, check).status for check in ("user", "cuda.rights", "rights.config")] == ["ok"] * 3
    tree.remove(f"{UNITS}/handmap.service", f"{LINKS}/handmap.service.d")
    assert "broke" not in of(run(tree), "cuda.rights").details


def test_units_that_want_each_other_are_followed_once(tree: Tree) -> None:
    tree.remove(f"{LINKS}/multi-user.target.wants/handmap.target")
    tree.link(f"{LINKS}/handmap.service.wants/handmap.target", "/usr/lib/systemd/system/handmap.target")

    assert "does not start at boot" in of(run(tree), "service.enabled").details


def test_of_two_tensorrts_that_of_the_python_module_counts(tree: Tree) -> None:
    tree.packages({**PACKAGES, "libnvinfer11": "11.4.1.5-1+cuda13.2", "libnvonnxparsers11": "11.4.1.5-1+cuda13.2"})

    report = run(tree)

    assert [of(report, check).status for check in ("tensorrt.packages", "python.library")] == ["ok", "ok"]


def test_an_odd_library_suffix_does_not_change_its_version(tree: Tree) -> None:
    tree.file("usr/local/cuda-12.6/lib64/libcudart.so.12-saved")

    assert of(run(tree), "cuda.libraries").status == "ok"


def test_the_release_of_an_image_is_shown_from_the_image(tree: Tree) -> None:
    tree.file("etc/nv_tegra_release", "# R35 (release), REVISION: 6.1")

    assert of(image(tree), "l4t").fix.startswith(f"cat {tree.root}/etc/nv_tegra_release ")


def test_a_port_held_by_root_is_not_the_daemons(tree: Tree) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: the program and whoever asks are the same user, and the daemon is another")
    tree.file(
        "proc/net/tcp", f"{SOCKETS} 0: 0100007F:24B8 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1\n"
    )

    assert "a program of user 0 holds TCP port 9400" in of(run(tree), "network.telemetry").details


def test_an_invalid_receiver_host_name_is_reported(tree: Tree) -> None:
    tree.file("etc/handmap/config.yaml", CONFIG.replace("127.0.0.1", "robot..local"))

    found = of(run(tree), "config")

    assert found.status == "failed"
    assert "host: 'robot..local' is not a host name" in found.details


def test_unreadable_metadata_is_not_reported_as_missing(tree: Tree) -> None:
    tree.program("usr/bin/v4l2-ctl", "echo 'Failed to open /dev/video01: Permission denied' >&2; exit 1")

    found = of(run(tree), "camera.timestamps")

    assert found.status == "warning" and "this user has no access" in found.details and "sudo" in found.fix


def test_a_camera_that_the_sdk_itself_drives_needs_no_metadata_node(tree: Tree) -> None:
    tree.remove(f"{CAMERA}:1.0/video4linux", f"{CAMERA}:1.3/video4linux")
    for interface in ("0", "3"):
        tree.link(f"{CAMERA}:1.{interface}/driver", "../../../../bus/usb/drivers/usbfs")

    report = run(tree)

    assert [of(report, check).status for check in ("camera.kernel", "camera.timestamps")] == ["ok", "ok"]


def test_a_bundle_in_an_inaccessible_folder_is_fixed_at_that_folder(tree: Tree) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: files must belong to another user than the daemon")
    (tree.root / "usr/share/handmap").chmod(0o700)

    found = of(run(tree), "rights.bundle")

    assert found.details == f"user 'handmap' cannot read '{tree.root}/usr/share/handmap'"
    assert found.fix == f"sudo chmod a+x {tree.root}/usr/share/handmap"


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize(("folder", "key"), [("home/nvidia/b", "ProtectHome=yes"), ("var/tmp/b", "PrivateTmp=yes")])
def test_a_bundle_that_the_sandbox_hides_is_found(tree: Tree, folder: str, key: str, running: bool) -> None:
    tree.file(f"{UNITS}/handmap.service", UNIT + STRICT.removeprefix("[Service]\n"))
    (tree.root / folder).parent.mkdir(parents=True, exist_ok=True)
    (tree.root / BUNDLE).rename(tree.root / folder)
    tree.file("etc/handmap/config.yaml", CONFIG.replace("/usr/share/handmap/models/handmap-hand21", f"/{folder}"))

    found = of(run(tree) if running else image(tree), "rights.bundle")

    assert found.status == "failed" and f"cannot see '{tree.root}/{folder}' because of its {key}" in found.details
    assert found.fix.startswith(f"sudo cp -r {tree.root}/{folder} {tree.root}/var/lib/handmap/ && sudoedit")


@pytest.mark.parametrize(
    ("cache", "more", "details"),
    [
        ("/var/cache/handmap/engines", "", "belongs to"),
        ("/var/lib/handmap/engines", "", "belongs to"),
        ("/srv/engines", "ReadWritePaths=/opt\nReadWritePaths=-/srv\n", "belongs to"),
        ("/srv/engines", "ReadWritePaths=/srv\nReadWritePaths=\n", "cannot write to"),
        ("/srv/engines", "", "cannot write to"),
        ("/root/engines", "", "because of its ProtectHome=yes"),
    ],
)
def test_a_cache_that_the_builder_cannot_write_to_is_found(tree: Tree, cache: str, more: str, details: str) -> None:
    tree.file(f"{UNITS}/handmap-engine.service", STRICT + more)
    tree.file("etc/handmap/config.yaml", CONFIG.replace("tensorrt", f"tensorrt, cache_dir: {cache}"))
    folder = tree.root / cache[1:]
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    os.chown(folder, UID, -1)

    found = of(run(tree), "rights.cache")

    assert details in found.details
    assert ("ReadWritePaths=%s\\n' /srv/engines | sudo tee " in found.fix) == (details == "cannot write to")


def test_a_program_that_cannot_be_killed_is_abandoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "ANSWER_S", 0.2)
    monkeypatch.setattr(machine, "KILLED_S", 0.2)
    left: list[subprocess.Popen[str]] = []
    monkeypatch.setattr(subprocess.Popen, "kill", lambda process: left.append(process))
    Tree(tmp_path).program("usr/bin/stuck", "exec sleep 60")
    began = time.monotonic()

    answer = Machine(tmp_path).run("stuck")

    assert answer == Answer(124, "", "stuck did not answer within 0 s")
    assert time.monotonic() - began < 30
    with left[0] as process:
        process.terminate()


def test_an_unreadable_image_is_one_sentence(tree: Tree) -> None:
    with (
        as_nobody(),
        pytest.raises(ConfigError, match=r"this user cannot read '.*root'; run as one who can, for example with sudo"),
    ):
        open_machine(tree.root)


def test_an_inaccessible_configuration_is_one_sentence(tree: Tree) -> None:
    machine = Machine(tree.root, is_running=False)

    with as_nobody(), pytest.raises(ConfigError, match=r"/etc/handmap/config\.yaml' cannot be followed .*; correct it"):
        DoctorContext(machine)


def test_a_configuration_that_is_a_link_to_itself_is_one_sentence(tree: Tree) -> None:
    tree.link("etc/handmap/config.yaml", "config.yaml")

    with pytest.raises(ConfigError, match=r"cannot be followed \(too many links"):
        DoctorContext(Machine(tree.root, is_running=False))
