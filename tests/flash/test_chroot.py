"""Running programs of an image: what they see, their output, what they cannot do to this machine, and cleaning up on it."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from flash.chroot import POLICY, run_inside
from flash.confined import DEVICES, KEPT
from handmap.types.errors import ConfigError

PROGRAMS = ("sh", "cat", "ls", "ln", "mknod", "mount", "umount", "chroot", "mkdir")


def may_mount() -> bool:
    command = ["unshare", "--mount", "--net", "--ipc", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0


if shutil.which("unshare") is None or shutil.which("ldd") is None or not may_mount():
    pytest.skip("needs root, unshare, ldd, and the right to mount", allow_module_level=True)


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """A few programs of this machine, with the libraries that they need."""
    root = tmp_path / "root fs"
    for name in ("bin", "proc", "sys", "dev", "run", "tmp", "usr/sbin", "etc"):
        (root / name).mkdir(parents=True)
    for name in PROGRAMS:
        program = shutil.which(name)
        assert program is not None
        shutil.copy(program, root / "bin" / name)
        needed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for library in re.findall(r"(/\S+) \(", needed):
            (root / library[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, root / library[1:])
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


def test_a_policy_link_out_of_the_image_is_neither_followed_nor_deleted(rootfs: Path, tmp_path: Path) -> None:
    (rootfs / POLICY).symlink_to(tmp_path / "nowhere")

    with pytest.raises(ConfigError, match=r"policy-rc\.d' leads out of the image"):
        run_inside(rootfs, "cat", f"/{POLICY}")
    assert os.readlink(rootfs / POLICY) == str(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_the_devices_are_the_harmless_ones(rootfs: Path) -> None:
    listed = run_inside(rootfs, "ls", "/dev").stdout.split()

    assert set(listed) == {*DEVICES, "fd", "stdin", "stdout", "stderr", "shm"}
    assert run_inside(rootfs, "sh", "-c", "echo x > /dev/null && ls /dev/fd").returncode == 0
    assert list((rootfs / "dev").iterdir()) == []


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        ("mknod /disk b 8 0", "Operation not permitted"),
        ("cat /zero", "Permission denied"),
        ("mount -t tmpfs tmpfs /etc", "permission denied|not permitted|must be superuser"),
        ("mount -o remount,rw /sys", "permission denied|not permitted|must be superuser|read-only"),
        ("umount /proc/sys", "not permitted|must be superuser"),
        ("mkdir /inner; chroot /inner /x", "Operation not permitted"),
        ("echo escaped > /proc/sys/kernel/hostname", "Read-only file system"),
        ("echo h > /proc/sysrq-trigger", "Read-only file system|nonexistent|[Pp]ermission denied"),
        ("echo x > /sys/power/state", "Read-only file system|nonexistent|not exist"),
        ("ls {host}", "No such file"),
        ("ls /proc/1/root{host}", "No such file"),
        ("ls /../..{host}", "No such file"),
    ],
)
def test_no_way_leads_out(rootfs: Path, tmp_path: Path, attempt: str, said: str) -> None:
    os.mknod(rootfs / "zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))  # an image can bring its own device nodes

    done = run_inside(rootfs, "sh", "-c", attempt.format(host=tmp_path))

    assert done.returncode != 0
    assert re.search(said, done.stderr), done.stderr


def test_only_what_dpkg_needs_of_roots_rights_is_left(rootfs: Path) -> None:
    status = run_inside(rootfs, "cat", "/proc/self/status").stdout

    wanted = f"{sum(1 << number for number in KEPT.values()):016x}"
    assert re.findall(r"Cap(?:Prm|Eff|Bnd):\t(\w+)", status) == [wanted] * 3


def test_neither_network_nor_processes_of_this_machine_are_seen(rootfs: Path) -> None:
    interfaces = run_inside(rootfs, "cat", "/proc/net/dev").stdout.splitlines()[2:]
    processes = [name for name in run_inside(rootfs, "ls", "/proc").stdout.split() if name.isdigit()]

    assert [line.split(":")[0].strip() for line in interfaces] in ([], ["lo"])
    assert processes == ["1"]


def test_a_link_that_a_program_makes_out_of_the_image_stops_everything(rootfs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"etc/handmap/config.yaml' leads out of the image"):
        run_inside(rootfs, "ln", "-s", str(tmp_path), "/etc/handmap")
