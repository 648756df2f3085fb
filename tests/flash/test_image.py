"""An arm64 image in place of Jetson Linux: the package is installed before flashing, then the image boots in an emulator.

Debian 12 stands in for NVIDIA's root file system; it has no GPU, camera or NVIDIA package.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from flash.deb import build_deb
from flash.targets import TARGETS
from handmap.types.joints import JOINT_COUNT
from tests.flash.made_up_tree import RELEASE, small_deb
from tests.support.processes import handmap
from tests.system.root_filesystem import ROOT, debian, overlay
from tests.system.vm import ARM64, fact, run_machine

TOOLS: Final = ("mmdebstrap", "dpkg-deb", "qemu-system-aarch64", "cpio", "mke2fs")
MISSING: Final = [tool for tool in TOOLS if shutil.which(tool) is None]
BINFMT: Final = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
GOLDEN_MM: Final = 0.05
IMAGE_MB: Final = 2400
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif("HANDMAP_IMAGE_TESTS" not in os.environ, reason="heavy: asked for by make test-image"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}; .ci/system installs them"),
    pytest.mark.skipif(not BINFMT.exists(), reason="needs qemu-aarch64 in binfmt_misc; .ci/system registers it"),
]
CONFIG: Final = """\
bundle: /usr/share/handmap/models/handmap-hand21
camera: {kind: replay, path: /usr/share/handmap/models/demo_recording}
publish: {targets: [{host: 127.0.0.1, port: 5656}]}
"""
# Runs once the daemon is up; the tests read what it prints on the serial console.
SCRIPT: Final = """#!/bin/sh
exec >/dev/console 2>&1
handmap listen --json --seconds 400 | while read -r line; do
  case $line in *'"hands": [{'*) echo "FACT packet=$line"; break;; esac
done
of_daemon() { systemctl show handmap -p "$1" --value; }
echo "FACT state=$(of_daemon ActiveState)"
echo "FACT status=$(of_daemon StatusText)"
echo "FACT restarts=$(of_daemon NRestarts)"
echo "FACT user=$(ps -o user= -p $(of_daemon MainPID))"
echo "FACT failed=$(systemctl --failed --plain --no-legend list-units)"
echo "FACT machine=$(uname -m)"
journalctl --namespace=+handmap -b -o cat --no-pager -u handmap | tail -30
systemctl stop handmap
echo "FACT check=$(handmap check --bundle /usr/share/handmap/models/handmap-hand21 --json 2>/dev/null)"
systemctl poweroff --force
"""
UNIT: Final = "[Unit]\nAfter=handmap.service\n[Service]\nType=oneshot\nExecStart=/usr/share/booted.sh\n"
# Under emulation startup takes many times as long, and the watchdog would take that for a hang.
SLOW: Final = "[Service]\nTimeoutStartSec=600\nWatchdogSec=120\n"


def flash_overlay(tree: Path, package: Path, *more: str) -> dict[str, Any]:
    """The command's JSON output."""
    given = ("--deb", package, "--config", package.parent / "config.yaml", "--extra-debs", package.parent / "debs")
    done = handmap("flash-overlay", tree, *given, "--json", *more, timeout_s=900)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any], dict[str, Any]]]:
    """The root file system of the image, and the output of the first and second run of the command."""
    folder = tmp_path_factory.mktemp("image")
    package = build_deb(TARGETS["debian12-arm64"], ROOT, folder, ROOT / ".cache/wheels").path
    (folder / "config.yaml").write_text(CONFIG)
    (folder / "debs").mkdir()
    shutil.move(small_deb(folder, "libwidget3", "arm64", Depends="libc6"), folder / "debs" / "libwidget3.deb")
    with overlay(debian("arm64")) as (root, _):
        (root / "etc/nv_tegra_release").write_text(RELEASE.format(major=36, rest="4.7"))
        tree = folder / "Linux_for_Tegra"
        tree.mkdir()
        (tree / "rootfs").symlink_to(root)
        flash_overlay(tree, package, "--dry-run")
        assert not (root / "usr/lib/handmap").exists()
        first = flash_overlay(tree, package)
        yield root, first, flash_overlay(tree, package)


@pytest.fixture(scope="module")
def serial(image: tuple[Path, dict[str, Any], dict[str, Any]]) -> str:
    """The serial output of the image from its first boot until it powered off."""
    root, _, _ = image
    (root / "usr/share/booted.sh").write_text(SCRIPT)
    (root / "usr/share/booted.sh").chmod(0o755)
    (root / "etc/systemd/system/booted.service").write_text(UNIT)
    (root / "etc/systemd/system/multi-user.target.wants/booted.service").symlink_to("../booted.service")
    (root / "etc/systemd/system/handmap.service.d").mkdir()
    (root / "etc/systemd/system/handmap.service.d/slow.conf").write_text(SLOW)
    return run_machine(root, ARM64, IMAGE_MB)


def test_the_package_is_installed_once(image: tuple[Path, dict[str, Any], dict[str, Any]]) -> None:
    root, first, second = image

    assert (first["changed"], second["changed"]) == (True, False)
    assert (root / "etc/handmap/config.yaml").read_text() == CONFIG
    command = ["systemctl", f"--root={root}", "is-enabled", "handmap.service"]
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() == "enabled"


def test_the_host_doctor_accepts_the_service(
    image: tuple[Path, dict[str, Any], dict[str, Any]],
) -> None:
    root, _, _ = image

    done = handmap("doctor", "--image", root, "--json")

    checks = {check["id"]: check["verdict"] for check in json.loads(done.stdout)["checks"]}
    assert {checks[name] for name in checks if name.startswith(("config", "service"))} <= {"ok", "not applicable"}


def test_after_boot_the_daemon_publishes_joints(serial: str) -> None:
    assert fact(serial, "machine") == "aarch64"
    assert (fact(serial, "state"), fact(serial, "user"), fact(serial, "restarts")) == ("active", "handmap", "0"), serial
    assert fact(serial, "status").startswith(("TRACKING", "NO_HAND"))
    assert fact(serial, "failed") == ""
    packet = json.loads(fact(serial, "packet"))
    assert len(packet["hands"][0]["xyz_m"]) == JOINT_COUNT


def test_golden_joints_match_on_arm64(serial: str) -> None:
    checked = json.loads(fact(serial, "check"))

    (golden_mm,) = [one["golden_mm"] for one in checked["precisions"] if one["precision"] == "fp32"]
    assert golden_mm <= GOLDEN_MM
