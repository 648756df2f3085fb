"""A small virtual machine under software emulation, with a kernel of its own: for what a container cannot enforce."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.system.root_filesystem import CACHE, run

MODULES: Final = ("virtio", "virtio_ring", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_blk")
# Modules come in any order: four rounds are enough for each to find those that it builds on.
INIT: Final = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs none /dev
for round in 1 2 3 4; do for module in /modules/*.ko; do /bin/busybox insmod $module 2>/dev/null; done; done
/bin/busybox mount -t ext4 /dev/vda /root
exec /bin/busybox switch_root /root /lib/systemd/systemd
"""
MEMORY_MB: Final = 1024
LONGEST_S: Final = 900  # on a machine that has other things to do; a free one needs a tenth


@dataclass(frozen=True)
class Machine:
    """A kind of machine: its architecture in Debian's words, what emulates it, and its serial line."""

    architecture: str
    emulator: tuple[str, ...]
    console: str


AMD64: Final = Machine("amd64", ("qemu-system-x86_64", "-cpu", "max"), "ttyS0")
# Of the kinds that QEMU knows, the nearest to Orin's Cortex-A78AE.
ARM64: Final = Machine("arm64", ("qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a76"), "ttyAMA0")


def run_machine(root: Path, machine: Machine = AMD64, image_mb: int = 1600) -> str:
    """Boots a copy of a root file system until it powers itself off; gives what came over the serial line."""
    kernel = _kernel(machine)
    with tempfile.TemporaryDirectory(dir=CACHE) as name:
        folder = Path(name)
        run("mke2fs", "-q", "-t", "ext4", "-d", root, folder / "disk", f"{image_mb}M")
        initrd = _initrd(kernel, busybox(machine), folder)
        (vmlinuz,) = (kernel / "boot").glob("vmlinuz-*")
        command = [
            *machine.emulator, "-accel", "tcg,thread=multi", "-smp", "2", "-m", str(MEMORY_MB),
            "-kernel", str(vmlinuz), "-initrd", str(initrd), "-append", f"console={machine.console} rw quiet",
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


def fact(serial: str, name: str) -> str:
    """The value in the line `FACT name=value` that a script in the machine printed once."""
    (found,) = [line.split(f"FACT {name}=", 1)[1].strip() for line in serial.splitlines() if f"FACT {name}=" in line]
    return found


def busybox(machine: Machine) -> Path:
    """Debian's busybox for a machine, which needs no library."""
    return _files(machine, "busybox-static") / "bin/busybox"


def _kernel(machine: Machine) -> Path:
    """The files of Debian's kernel for virtual machines."""
    return _files(machine, f"linux-image-cloud-{machine.architecture}")


def _files(machine: Machine, name: str) -> Path:
    """The files of a package, or of the one kernel that it stands for; fetched where the cache does not have them."""
    folder = CACHE / f"{name}-{machine.architecture}.files"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            # Lists of their own, of that architecture alone.
            settings = {"APT::Architecture": machine.architecture, "APT::Architectures": machine.architecture,
                        "Dir::State::Lists": scratch, "Dir::Cache": scratch}  # fmt: skip
            options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
            (Path(scratch) / "partial").mkdir()
            run("apt-get", *options, "-qq", "update")
            depends = run("apt-cache", *options, "depends", name).split()
            package = next((word for word in depends if word.startswith("linux-image-") and word != name), name)
            subprocess.run(
                ["apt-get", *options, "download", "-q", package], cwd=scratch, check=True, capture_output=True
            )
            (deb,) = Path(scratch).glob("*.deb")
            run("dpkg-deb", "-x", deb, Path(scratch) / "unpacked")
            (Path(scratch) / "unpacked").rename(folder)
    return folder


def _initrd(kernel: Path, shell: Path, folder: Path) -> Path:
    """Busybox and the modules that the disk needs: the kernel has its file system, but not its bus."""
    tree = folder / "initrd"
    for name in ("bin", "dev", "root", "modules"):
        (tree / name).mkdir(parents=True)
    shutil.copy(shell, tree / "bin/busybox")
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
