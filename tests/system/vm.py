"""A small virtual machine under software emulation, with a kernel of its own: for what a container cannot enforce."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tests.system.root_filesystem import CACHE, run

KERNEL: Final = "linux-image-cloud-amd64"
MODULES: Final = ("virtio", "virtio_ring", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk")
# Modules come in any order: four rounds are enough for each to find those that it builds on.
INIT: Final = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs none /dev
for round in 1 2 3 4; do for module in /modules/*.ko; do /bin/busybox insmod $module 2>/dev/null; done; done
/bin/busybox mount -t ext4 /dev/vda /root
exec /bin/busybox switch_root /root /lib/systemd/systemd
"""
MEMORY_MB: Final = 1024
IMAGE_MB: Final = 1600
LONGEST_S: Final = 900  # on a machine that has other things to do; a free one needs a tenth


def run_machine(root: Path) -> str:
    """Boots a copy of a root file system until it powers itself off; gives what came over the serial line."""
    kernel = _kernel()
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        folder = Path(name)
        run("mke2fs", "-q", "-t", "ext4", "-d", root, folder / "disk", f"{IMAGE_MB}M")
        initrd = _initrd(kernel, folder)
        (vmlinuz,) = (kernel / "boot").glob("vmlinuz-*")
        command = [
            "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(MEMORY_MB),
            "-kernel", str(vmlinuz), "-initrd", str(initrd), "-append", "console=ttyS0 rw quiet",
            "-drive", f"file={folder / 'disk'},format=raw,if=virtio,cache=unsafe", "-nic", "none",
            "-display", "none", "-monitor", "none", "-serial", "stdio", "-no-reboot",
        ]  # fmt: skip
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LONGEST_S,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _kernel() -> Path:
    """Debian's kernel for virtual machines, unpacked."""
    depends = run("apt-cache", "depends", KERNEL)
    (name,) = [line.split()[-1] for line in depends.splitlines() if "Depends:" in line]
    folder = CACHE / name
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            subprocess.run(["apt-get", "download", "-q", name], cwd=scratch, check=True, capture_output=True)
            (package,) = Path(scratch).glob("*.deb")
            run("dpkg-deb", "-x", package, Path(scratch) / "unpacked")
            (Path(scratch) / "unpacked").rename(folder)
    return folder


def _initrd(kernel: Path, folder: Path) -> Path:
    """Busybox and the modules that the disk needs: the kernel has its file system, but not its bus."""
    tree = folder / "initrd"
    for name in ("bin", "dev", "root", "modules"):
        (tree / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    for name in MODULES:
        (module,) = kernel.rglob(f"{name}.ko")
        shutil.copy(module, tree / "modules")
    (tree / "init").write_text(INIT)
    (tree / "init").chmod(0o755)
    packed = subprocess.run(
        ["sh", "-c", "find . | cpio -o -H newc --quiet"], cwd=tree, capture_output=True, check=True
    ).stdout
    (folder / "initrd.cpio").write_bytes(packed)
    return folder / "initrd.cpio"
