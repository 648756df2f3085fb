"""The debian12-amd64 package in a clean Debian 12 without a network: installed, upgraded, downgraded, removed, purged,
and installed in an image."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flash.overlay import apply, damaged, read_manifest, remove
from flash.preflight import OverlayRequest
from handmap import __version__
from handmap.system.version import debian_version
from handmap.types.errors import ConfigError
from tests.flash.conftest import CONFIG, ON_DEBIAN
from tests.flash.made_up_tree import RELEASE, small_deb
from tests.system.container import booted, until
from tests.system.root_filesystem import ROOT, run

pytestmark = ON_DEBIAN
KEPT = "/var/cache/handmap/engines/key/hand.engine"


def offline(root: Path, *command: str, debs: Path | None = None) -> str:
    binds: list[str] = [f"--bind-ro={debs}:/debs"] if debs else []
    nspawn: tuple[str | Path, ...] = (
        "systemd-nspawn",
        "-q",
        "--pipe",
        "--register=no",
        "--keep-unit",
        "--private-network",
        *binds,
        "-D",
        root,
    )
    return run(*nspawn, *command)


def install(root: Path, package: Path) -> None:
    offline(root, "dpkg", "--force-confold", "-i", f"/debs/{package.name}", debs=package.parent)


def traces(root: Path) -> list[str]:
    """Every path with our name in it, except dpkg's and systemd's logs."""
    found = (str(path.relative_to(root)) for path in root.rglob("*handmap*"))
    return [name for name in found if not name.startswith(("var/log/", "proc/", "sys/"))]


def is_enabled(root: Path) -> bool:
    command = ["systemctl", f"--root={root}", "is-enabled", "handmap.service"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_upgrades_and_downgrades_keep_the_users_files(clean: Path, packages: tuple[Path, Path]) -> None:
    first, second = packages
    install(clean, first)
    assert offline(clean, "handmap", "--version").strip() == f"handmap, version {__version__}"
    assert "is intact" in offline(clean, "handmap", "run", "--config", "/etc/handmap/config.yaml", "--validate")
    assert {"handmap", "video", "render", "plugdev"} <= set(offline(clean, "id", "-Gn", "handmap").split())
    assert is_enabled(clean)
    verify: list[str | Path] = [
        "chroot",
        clean,
        "systemd-analyze",
        "verify",
        "handmap.service",
        "handmap-engine.service",
        "handmap@left.service",
        "handmap-engine@left.service",
        "handmap.target",
    ]
    said = subprocess.run(verify, capture_output=True, text=True, check=False).stderr
    assert [line for line in said.splitlines() if "handmap" in line] == []

    (clean / "etc/handmap/config.yaml").write_text(CONFIG)
    (clean / KEPT[1:]).parent.mkdir(parents=True)
    (clean / KEPT[1:]).write_text("built here")
    run("systemctl", f"--root={clean}", "disable", "handmap.service")
    for package, revision in ((second, "2"), (first, "1")):
        install(clean, package)
        shown = offline(clean, "dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", "handmap")
        assert shown.strip() == f"installed {debian_version(__version__)}-{revision}.debian12"
        assert (clean / "etc/handmap/config.yaml").read_text() == CONFIG
        assert (clean / KEPT[1:]).read_text() == "built here"
        assert not is_enabled(clean), "a unit that was disabled was enabled again"
        assert not list((clean / "usr/lib/handmap").glob("venv.*"))
        assert "is intact" in offline(clean, "handmap", "run", "--config", "/etc/handmap/config.yaml", "--validate")


def test_remove_keeps_the_users_files_and_purge_leaves_nothing(clean: Path, packages: tuple[Path, Path]) -> None:
    assert traces(clean) == []
    install(clean, packages[0])
    (clean / KEPT[1:]).parent.mkdir(parents=True)
    (clean / KEPT[1:]).write_text("built here")
    offline(clean, "dpkg", "--remove", "handmap")
    assert (clean / KEPT[1:]).exists() and (clean / "etc/handmap/config.yaml").exists()
    assert not (clean / "usr/lib/handmap").exists() and not (clean / "usr/bin/handmap").is_symlink()

    offline(clean, "dpkg", "--purge", "handmap")
    assert traces(clean) == []
    assert "handmap" not in (clean / "etc/passwd").read_text() + (clean / "etc/group").read_text()


def test_the_booted_service_is_restarted_by_upgrade_and_stopped_by_removal(
    clean: Path, packages: tuple[Path, Path]
) -> None:
    install(clean, packages[0])
    (clean / "etc/handmap/config.yaml").write_text(CONFIG)
    with booted(clean) as container:
        until(lambda: container.show("handmap", "StatusText").startswith("TRACKING"), "the service tracks", 60)
        assert container.show("handmap", "NRestarts") == "0"

        process = container.show("handmap", "MainPID")
        (clean / "opt/next.deb").write_bytes(packages[1].read_bytes())
        done = container.run("dpkg", "--force-confold", "-i", "/opt/next.deb")
        assert done.returncode == 0, done.stderr
        assert container.show("handmap", "MainPID") not in (process, "0"), "an upgrade did not restart the service"
        until(lambda: container.show("handmap", "StatusText").startswith("TRACKING"), "the new version tracks", 60)

        assert container.run("dpkg", "--purge", "handmap").returncode == 0
        assert container.run("pgrep", "-f", "handmap run").stdout == "", "a purged service is still running"


def test_lintian_finds_no_error(packages: tuple[Path, Path]) -> None:
    done = subprocess.run(["lintian", "--allow-root", packages[0]], capture_output=True, text=True, check=False)

    assert [line for line in done.stdout.splitlines() if line.startswith("E:")] == []
    assert "no-manual-page" in done.stdout, "lintian looked at nothing"


@pytest.fixture
def image(clean: Path, packages: tuple[Path, Path], tmp_path: Path) -> OverlayRequest:
    """Debian in place of Jetson Linux, with our package and another one to install."""
    (clean / "etc/nv_tegra_release").write_text(RELEASE.format(major=36, rest="4.7"))
    tree, extra = tmp_path / "Linux_for_Tegra", tmp_path / "extra"
    tree.mkdir()
    (tree / "rootfs").symlink_to(clean)
    extra.mkdir()
    shutil.move(small_deb(tmp_path, "libwidget3", Depends="libc6"), extra / "libwidget3.deb")
    (tmp_path / "config.yaml").write_text(CONFIG)
    return OverlayRequest(tree, packages[0], tmp_path / "config.yaml", extra)


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path.relative_to(root)): (path.lstat().st_mtime_ns, path.lstat().st_mode) for path in root.rglob("*")}


def test_an_image_is_installed_once_and_removed_completely(image: OverlayRequest, clean: Path) -> None:
    mounts, before = Path("/proc/self/mountinfo").read_text(), set(snapshot(clean))
    done = apply(image)

    assert done.changed and is_enabled(clean)
    assert (clean / "etc/handmap/config.yaml").read_text() == CONFIG
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert not (clean / "usr/sbin/policy-rc.d").exists()
    assert {path.name for path in (clean / "tmp").iterdir()} == set()

    after = snapshot(clean)
    assert not apply(image).changed
    assert snapshot(clean) == after

    manifest = read_manifest(clean)
    assert manifest is not None
    names = ("usr/lib/systemd/system/handmap.service", "usr/lib/handmap/venv/bin/handmap", "etc/handmap/config.yaml")
    assert set(names) <= set(manifest.files)
    (clean / names[0]).write_text("[Unit]\n")
    assert damaged(clean, manifest) == [names[0]]
    assert apply(image).changed
    assert damaged(clean, manifest) == []

    assert remove(image.tree) and not remove(image.tree)
    assert set(snapshot(clean)) - before <= {"var/log/dpkg.log"}
    assert before <= set(snapshot(clean))
    assert "libwidget3" not in run("dpkg-query", f"--admindir={clean}/var/lib/dpkg", "-W")


def test_an_invalid_configuration_leaves_the_image_unchanged(image: OverlayRequest, clean: Path) -> None:
    before = set(snapshot(clean))
    image.config.write_text(CONFIG + "no_such_key: 1\n")
    with pytest.raises(ConfigError, match=r"image's daemon rejects the configuration: .*no_such_key"):
        apply(image)
    assert set(snapshot(clean)) - before <= {"var/log/dpkg.log"}
    assert not (clean / "usr/sbin/policy-rc.d").exists()

    image.config.write_text(CONFIG)
    apply(image)
    image.config.write_text(CONFIG + "no_such_key: 1\n")
    with pytest.raises(ConfigError, match="no_such_key"):
        apply(image)
    assert (clean / "etc/handmap/config.yaml").read_text() == CONFIG


def test_a_failed_installation_is_rolled_back(image: OverlayRequest, clean: Path, tmp_path: Path) -> None:
    before = set(snapshot(clean))
    broken = tmp_path / "broken"
    broken.mkdir()
    root = tmp_path / "libwidget3-root"
    (root / "DEBIAN/postinst").write_text("#!/bin/sh\necho no such widget >&2\nexit 1\n")
    (root / "DEBIAN/postinst").chmod(0o755)
    run("dpkg-deb", "-b", root, broken / "libwidget3.deb")

    with pytest.raises(ConfigError, match=r"dpkg in the image could not install .*libwidget3"):
        apply(OverlayRequest(image.tree, image.deb, image.config, broken))
    assert set(snapshot(clean)) - before <= {"var/log/dpkg.log"}


@pytest.mark.parametrize(("when", "is_half"), [("usr/share/handmap/wheels", True), ("usr/lib/handmap/venv.new", False)])
def test_a_killed_run_leaves_no_mount_and_can_be_removed(
    image: OverlayRequest, clean: Path, when: str, is_half: bool
) -> None:
    mounts, before = Path("/proc/self/mountinfo").read_text(), set(snapshot(clean))
    words = [
        "flash-overlay",
        image.tree,
        "--deb",
        image.deb,
        "--config",
        image.config,
        "--extra-debs",
        image.extra_debs,
    ]
    command = [sys.executable, "-m", "handmap", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    until((clean / when).exists, f"{when} is there", 60)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    assert Path("/proc/self/mountinfo").read_text() == mounts
    if is_half:
        with pytest.raises(ConfigError, match="handmap was left half unpacked"):
            remove(image.tree)
        assert apply(image).changed
    assert remove(image.tree) and not remove(image.tree)
    assert set(snapshot(clean)) - before <= {"var/log/dpkg.log"}
