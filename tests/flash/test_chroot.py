"""Running programs of an image that consists of a busybox: what they see, their output, and cleaning up on the host."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from flash.chroot import POLICY, run_inside

BUSYBOX = shutil.which("busybox")


def may_mount() -> bool:
    command = ["unshare", "--mount", "--net", "--ipc", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0


if BUSYBOX is None or shutil.which("unshare") is None or not may_mount():
    pytest.skip("needs root, unshare, the right to mount, and a static busybox", allow_module_level=True)
if subprocess.run(["ldd", BUSYBOX], capture_output=True, check=False).returncode == 0:
    pytest.skip("needs a static busybox", allow_module_level=True)


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    root = tmp_path / "root fs"
    for name in ("bin", "proc", "sys", "dev", "run", "tmp", "usr/sbin"):
        (root / name).mkdir(parents=True)
    assert BUSYBOX is not None
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for name in ("sh", "cat", "ls", "printf"):
        (root / "bin" / name).symlink_to("busybox")
    return root


def test_packages_appear_by_name_regardless_of_file_name(rootfs: Path, tmp_path: Path) -> None:
    (tmp_path / "libwidget3_1.0_all.deb").write_text("widget")
    (tmp_path / "next one.deb").symlink_to("libwidget3_1.0_all.deb")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/next one.deb").write_text("ours")

    debs = {"libwidget3": tmp_path / "next one.deb", "handmap": tmp_path / "other/next one.deb"}
    done = run_inside(rootfs, "cat", "/tmp/debs/libwidget3.deb", "/tmp/debs/handmap.deb", debs=debs)

    assert (done.stdout, done.stderr) == ("widgetours", "")
    assert (tmp_path / "other/next one.deb").read_text() == "ours"
    assert list((rootfs / "tmp").iterdir()) == []


def test_non_utf8_output_and_prompts_do_not_hang(rootfs: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"yes\n")
    before = os.dup(0)
    os.dup2(reader, 0)
    try:
        done = run_inside(rootfs, "sh", "-c", r"printf 'Gr\374\337e\n'; read answer || exit 7")
    finally:
        os.dup2(before, 0)
        for descriptor in (reader, writer, before):
            os.close(descriptor)

    assert done.returncode == 7
    assert done.stdout == "Gr\ufffd\ufffde\n"


def test_no_service_is_started_and_nothing_is_left_behind(rootfs: Path) -> None:
    mounts = Path("/proc/self/mountinfo").read_text()

    assert "exit 101" in run_inside(rootfs, "cat", f"/{POLICY}").stdout
    assert not (rootfs / POLICY).exists()
    assert Path("/proc/self/mountinfo").read_text() == mounts


def test_an_existing_policy_file_or_link_is_kept(rootfs: Path) -> None:
    (rootfs / "usr/sbin/policy").write_text("its own")
    (rootfs / POLICY).symlink_to("policy")

    assert "exit 101" in run_inside(rootfs, "cat", f"/{POLICY}").stdout
    assert os.readlink(rootfs / POLICY) == "policy"
    assert (rootfs / POLICY).read_text() == "its own"


def test_a_dangling_policy_link_is_neither_followed_nor_deleted(rootfs: Path, tmp_path: Path) -> None:
    (rootfs / POLICY).symlink_to(tmp_path / "nowhere")

    assert run_inside(rootfs, "cat", f"/{POLICY}").returncode != 0
    assert os.readlink(rootfs / POLICY) == str(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
