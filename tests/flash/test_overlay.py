"""Installing the package in an image and removing it, wherever a run was interrupted; with the real dpkg, but no chroot."""

import os
import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from flash import overlay
from flash.overlay import MANIFEST, UNFINISHED, apply, damaged, read_manifest, remove
from flash.packages import installed_packages, package_states
from flash.preflight import OverlayRequest
from handmap.types.errors import ConfigError
from tests.flash.made_up_tree import made_up_tree, small_deb

MISSING = [tool for tool in ("dpkg", "dpkg-deb", "systemctl") if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: dpkg gives files their owner"),
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}"),
]
UNITS = {
    "usr/lib/systemd/system/handmap.service": "[Service]\nExecStart=/usr/bin/handmap\n[Install]\nWantedBy=handmap.target\nAlso=handmap.target\n",
    "usr/lib/systemd/system/handmap.target": "[Install]\nWantedBy=multi-user.target\nAlso=handmap.service\n",
    "usr/lib/handmap/venv/bin/handmap": "#!/bin/sh\n",
    "etc/handmap/config.yaml": "the default",
}
TARGET_LINK = "etc/systemd/system/multi-user.target.wants/handmap.target"


class Killed(BaseException):
    """Ends the run like SIGKILL: nothing runs afterwards, and the image's programs fail too."""


def programs(
    rootfs: Path, *command: str, debs: Mapping[str, Path] | None = None, dies_at: str = "", refuses: str = ""
) -> subprocess.CompletedProcess[str]:
    """Replaces the image's programs: this machine's dpkg on the image's database, and a daemon that accepts everything."""
    words = [
        str((debs or {}).get(Path(word).stem, word)) if word.startswith("/tmp/debs/") else word for word in command
    ]
    if dies_at in words or (dies_at and "--purge" in words):
        raise Killed
    if words[0] == "handmap" or (refuses and refuses in words):
        return subprocess.CompletedProcess(words, int(refuses in words), "", "it does not want to")
    done = subprocess.run(
        ["dpkg", f"--root={rootfs}", "--force-bad-path", *words[1:]], capture_output=True, text=True, check=False
    )
    assert "need" not in done.stderr, done.stderr
    return done


def killed_at(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setattr(overlay, "run_inside", lambda *given, **more: programs(*given, **more, dies_at=word))


def refused_at(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setattr(overlay, "run_inside", lambda *given, **more: programs(*given, **more, refuses=word))


@pytest.fixture(autouse=True)
def whole_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "run_inside", programs)


@pytest.fixture
def image(tmp_path: Path) -> OverlayRequest:
    """A tree in a folder with a space in its name, with its root file system on another disk; our package and another one."""
    folder = tmp_path / "my boards"
    tree = made_up_tree(folder)
    (tree / "rootfs/usr/share").mkdir(parents=True)
    (tree / "rootfs").rename(tmp_path / "other disk")
    (tree / "rootfs").symlink_to(tmp_path / "other disk")
    ours = small_deb(folder, holds=UNITS)
    unpacked = folder / "handmap-root"
    (unpacked / "usr/bin").mkdir()
    (unpacked / "usr/bin/handmap").symlink_to("../lib/handmap/venv/bin/handmap")
    (unpacked / "DEBIAN/conffiles").write_text("/etc/handmap/config.yaml\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", unpacked, ours], check=True, capture_output=True)
    extra = folder / "extra"
    extra.mkdir()
    shutil.move(small_deb(folder, "libwidget3", Depends="libc6"), extra / "libwidget3.deb")
    (folder / "config.yaml").write_text("publish: {targets: [{host: 127.0.0.1, port: 5700}]}\n")
    return OverlayRequest(tree, ours, folder / "config.yaml", extra)


def is_clean(request: OverlayRequest) -> bool:
    ours = {"handmap", "libwidget3"} & package_states(request.rootfs).keys()
    return not ours and not (request.rootfs / "usr/share/handmap").exists()


def test_it_is_installed_once_and_removed_completely(image: OverlayRequest) -> None:
    done = apply(image)

    assert done.changed and not apply(image).changed
    assert done.next_command.startswith(f"cd '{image.tree}' && sudo ./tools/")
    assert (image.rootfs / "etc/handmap/config.yaml").read_bytes() == image.config.read_bytes()
    manifest = read_manifest(image.rootfs)
    assert manifest is not None and damaged(image.rootfs.resolve(), manifest) == []
    assert remove(image.tree) and is_clean(image)
    assert not remove(image.tree)


@pytest.mark.parametrize("name", ["usr/bin/handmap", TARGET_LINK, "usr/lib/systemd/system/handmap.target"])
def test_files_deleted_since_are_restored(image: OverlayRequest, name: str) -> None:
    apply(image)
    (image.rootfs / name).unlink()

    assert apply(image).changed
    assert os.path.lexists(image.rootfs / name)
    assert not apply(image).changed


@pytest.mark.parametrize("word", ["--install", "--validate"])
def test_a_killed_run_is_repeated_and_its_packages_are_removed_with_ours(
    image: OverlayRequest, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    killed_at(monkeypatch, word)
    with pytest.raises(Killed):
        apply(image)
    unfinished = read_manifest(image.rootfs)
    assert unfinished is not None and unfinished.config_sha256 == UNFINISHED

    monkeypatch.setattr(overlay, "run_inside", programs)
    assert apply(image).changed
    assert not apply(image).changed
    assert remove(image.tree) and is_clean(image)


@pytest.fixture
def killed(image: OverlayRequest, monkeypatch: pytest.MonkeyPatch) -> OverlayRequest:
    """The image after a run that was killed at the end."""
    with monkeypatch.context() as patch:
        killed_at(patch, "--validate")
        with pytest.raises(Killed):
            apply(image)
    return image


def leave(request: OverlayRequest, state: str) -> None:
    """Makes dpkg believe that it was interrupted in this state of our package."""
    status = request.rootfs / "var/lib/dpkg/status"
    head, ours, rest = status.read_text().partition("Package: handmap\n")
    status.write_text(head + ours + rest.replace("install ok installed", state, 1))
    assert "handmap" not in installed_packages(request.rootfs)


@pytest.mark.parametrize("state", ["install ok unpacked", "install ok half-configured"])
def test_leftovers_of_a_killed_run_are_removed(killed: OverlayRequest, state: str) -> None:
    leave(killed, state)

    assert remove(killed.tree) and is_clean(killed)


def test_a_package_without_a_manifest_is_removed_in_any_state(killed: OverlayRequest) -> None:
    leave(killed, "install ok half-configured")
    (killed.rootfs / MANIFEST).unlink()

    assert remove(killed.tree)
    assert "handmap" not in package_states(killed.rootfs)


def test_a_half_unpacked_package_must_be_completed_before_removal(killed: OverlayRequest) -> None:
    leave(killed, "install reinstreq half-installed")

    with pytest.raises(
        ConfigError, match=r"handmap was left half unpacked in .*; repeat the same flash-overlay command"
    ):
        remove(killed.tree)
    assert apply(killed).changed
    assert remove(killed.tree) and is_clean(killed)


def test_a_manifest_of_purged_packages_is_discarded(image: OverlayRequest) -> None:
    apply(image)
    programs(image.rootfs, "dpkg", "--purge", "handmap", "libwidget3")

    assert remove(image.tree) and is_clean(image)


def test_a_failed_first_run_leaves_nothing(image: OverlayRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    refused_at(monkeypatch, "--validate")

    with pytest.raises(ConfigError, match="image's daemon rejects the configuration: it does not want to"):
        apply(image)
    assert is_clean(image)


def test_a_failed_rollback_can_be_removed_later(image: OverlayRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    refused_at(monkeypatch, "--purge")
    (image.rootfs / "etc/systemd/system").mkdir(parents=True)
    (image.rootfs / "etc/systemd/system/handmap.service").symlink_to("/dev/null")

    with pytest.raises(ConfigError, match=r"masked.*systemctl --root='.*my boards.*' unmask handmap\.service"):
        apply(image)
    with pytest.raises(
        ConfigError, match="dpkg in the image could not remove handmap, libwidget3: it does not want to"
    ):
        remove(image.tree)
    monkeypatch.setattr(overlay, "run_inside", programs)
    assert remove(image.tree) and is_clean(image)


def test_the_daemon_can_read_its_folder_for_any_umask(image: OverlayRequest) -> None:
    before = os.umask(0o077)
    try:
        apply(image)
    finally:
        os.umask(before)

    for name in ("usr/share/handmap", "etc/handmap"):
        assert stat.S_IMODE((image.rootfs / name).stat().st_mode) == 0o755


def test_an_unwritable_file_is_reported_in_one_sentence(image: OverlayRequest) -> None:
    (image.rootfs / "usr/share/handmap").write_text("no folder")

    with pytest.raises(ConfigError, match=r"flash-overlay\.json' cannot be written \(File exists\); free some space"):
        apply(image)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"release":"\xff","packages":[],"config_sha256":"","files":{}}'])
def test_an_unreadable_manifest_is_rejected(image: OverlayRequest, content: bytes) -> None:
    (image.rootfs / MANIFEST).parent.mkdir()
    (image.rootfs / MANIFEST).write_bytes(content)

    with pytest.raises(ConfigError, match=r"is not a manifest of flash-overlay .*; delete it"):
        apply(image)


@pytest.mark.parametrize("name", ["etc/handmap", "usr/share/handmap", "usr/sbin/policy-rc.d"])
def test_a_link_out_of_the_image_is_rejected_before_it_is_followed(
    image: OverlayRequest, tmp_path: Path, name: str
) -> None:
    (tmp_path / "here").mkdir()
    (image.rootfs / name).parent.mkdir(exist_ok=True)
    (image.rootfs / name).symlink_to(tmp_path / "here")

    for run in (lambda: apply(image), lambda: remove(image.tree)):
        with pytest.raises(
            ConfigError, match=r"leads out of the image, to '.*here.*'; replace it with a relative link"
        ):
            run()
    assert list((tmp_path / "here").iterdir()) == []
