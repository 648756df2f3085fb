"""A made-up root file system of a healthy Orin with everything installed, in the state of a running machine: files, links,
and programs that answer as those of a board do.
"""

import json
import os
import shutil
from pathlib import Path

# Files of the tree belong to whoever runs the tests; the daemon's user is another one where that is root.
UID = os.getuid() or 4711
VENV = "usr/lib/handmap/venv"
CAMERA = "sys/bus/usb/devices/2-1"
SERIAL = "123622270300"

UNIT = """[Service]
User=handmap
SupplementaryGroups=video render plugdev
CacheDirectory=handmap
"""
DEVICE_LIST = (
    "[Service]\nDevicePolicy=closed\nDeviceAllow=char-nv* rw\nDeviceAllow=char-usb_device rw\nDeviceAllow=char-drm rw\n"
)
CONFIG = """bundle: /usr/share/handmap/models/handmap-hand21
camera: {kind: realsense}
engine: {backend: tensorrt}
publish: {targets: [{host: 127.0.0.1, port: 5656}], control: {}}
"""
PACKAGES = {
    "libnvinfer10": "10.3.0.30-1+cuda12.5",
    "libnvonnxparsers10": "10.3.0.30-1+cuda12.5",
    "python3-libnvinfer": "10.3.0.30-1+cuda12.5",
}
SDK = [
    {
        "name": "D435",
        "serial_number": SERIAL,
        "firmware_version": "5.16.0.1",
        "recommended_firmware_version": "5.16.0.1",
    }
]
SOCKETS = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
NVPMODEL = "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=7W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n< PM_CONFIG DEFAULT=0 >\n"


class Tree:
    """A root folder to write into; `files` and `programs` replace what is there."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def file(self, name: str, content: object = "", mode: int = 0o644) -> Path:
        """Writes a file, and the folders above it."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}")
        path.chmod(mode)
        return path

    def program(self, name: str, body: str) -> None:
        """Writes a shell script."""
        self.file(name, f"#!/bin/sh\n{body}\n", 0o755)

    def link(self, name: str, target: str) -> None:
        """Makes a link in the place of whatever is there."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    def remove(self, *names: str) -> None:
        """Removes files, links and folders."""
        for name in names:
            path = self.root / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def packages(self, versions: dict[str, str]) -> None:
        """Writes dpkg's status."""
        blocks = [
            f"Package: {name}\nStatus: install ok installed\nDescription: one line\n and: another\nVersion: {version}\n"
            for name, version in versions.items()
        ]
        self.file("var/lib/dpkg/status", "\n".join(blocks))

    def python(self, tensorrt: str = "echo 10.3.0", engine: str = "", sdk: str = "") -> None:
        """Writes the daemon's Python: what it does when it is asked for TensorRT, the engine and the SDK's cameras."""
        engine = engine or say({"needed": False, "why": "engine '/var/cache/x/hand.engine' is whole"})
        self.program(
            f"{VENV}/bin/python",
            f'case "$*" in\n*tensorrt.__version*) {tensorrt};;\n*is-needed*) {engine};;\n*doctor.sdk*) {sdk or say(SDK)};;\n*) exit 9;;\nesac',
        )

    def systemctl(self, **facts: str) -> None:
        """Writes a systemctl that gives these properties of every unit."""
        known = {
            "ActiveState": "active",
            "SubState": "running",
            "Result": "success",
            "ExecMainStatus": "0",
            "NRestarts": "0",
            "StatusText": "TRACKING 60.0 frames/s",
        }
        self.program("usr/bin/systemctl", "\n".join(f"echo '{key}={value}'" for key, value in (known | facts).items()))


def say(answer: object) -> str:
    """The shell command that prints a value as JSON."""
    return f"echo '{json.dumps(answer)}'".replace("\\", "\\\\") if not isinstance(answer, str) else f"echo '{answer}'"


def write_board(root: Path, bundle: Path) -> Tree:
    """The whole tree; the bundle is copied into it."""
    tree = Tree(root)
    _write_installed(tree, bundle)
    _write_kernel(tree)
    _write_answers(tree)
    return tree


def _write_installed(tree: Tree, bundle: Path) -> None:
    """What is on the disk of an image too."""
    tree.file("etc/nv_tegra_release", "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64")
    tree.file("etc/passwd", f"root:x:0:0:root:/root:/bin/sh\nhandmap:x:{UID}:990::/var/lib/handmap:/usr/sbin/nologin\n")
    tree.file(
        "etc/group",
        f"root:x:{os.getgid() + 5000}:\nvideo:x:{os.getgid()}:handmap\nrender:x:991:handmap\nplugdev:x:992:handmap\nhandmap:x:990:\n",
    )
    tree.packages(PACKAGES)
    for library in ("libcudart", "libnvrtc"):
        tree.file(f"usr/local/cuda-12.6/targets/aarch64-linux/lib/{library}.so.12.6.77")
    tree.link("usr/local/cuda", "/usr/local/cuda-12.6")
    tree.file("usr/lib/systemd/system/handmap.service", UNIT)
    tree.file("etc/systemd/system/handmap.service.d/strict-devices.conf", DEVICE_LIST)
    for place, unit in (("multi-user.target", "handmap.target"), ("handmap.target", "handmap.service")):
        tree.link(f"etc/systemd/system/{place}.wants/{unit}", f"/usr/lib/systemd/system/{unit}")
    tree.file("usr/lib/udev/rules.d/60-handmap.rules", "# rules")
    tree.file(f"{VENV}/pyvenv.cfg", "home = /usr/bin\ninclude-system-site-packages = true\nversion = 3.10.12\n")
    (tree.root / VENV / "lib/python3.10/site-packages").mkdir(parents=True)
    tree.file("etc/handmap/config.yaml", CONFIG)
    shutil.copytree(bundle, tree.root / "usr/share/handmap/models/handmap-hand21")
    cache = tree.root / "var/cache/handmap/engines"
    cache.mkdir(parents=True)
    for folder in (cache, cache.parent):
        folder.chmod(0o700)
        os.chown(folder, UID, -1)
    tree.file("lib/modules/5.15.148-tegra/modules.dep", "kernel/drivers/media/usb/uvc/uvcvideo.ko: kernel/x.ko")
    tree.file("etc/nvpmodel.conf", NVPMODEL)


def _write_kernel(tree: Tree) -> None:
    """/dev, /proc, /run and /sys."""
    tree.file("proc/device-tree/compatible", "nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234\0")
    tree.file("proc/device-tree/model", "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0")
    for node in ("nvmap", "nvgpu/igpu0/ctrl", "nvgpu/igpu0/as", "dri/renderD128", "bus/usb/002/004"):
        tree.file(f"dev/{node}", mode=0o660)
    tree.file(
        "proc/devices",
        "Character devices:\n189 usb_device\n226 drm\n498 nvmap\n510 nvgpu-igpu0\n\nBlock devices:\n  7 loop\n",
    )
    tree.file("proc/meminfo", "MemTotal:        7800000 kB\nMemAvailable:    5000000 kB\n")
    tree.file(
        "proc/net/udp",
        f"{SOCKETS}  1: 00000000:1618 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 1 2 0 0\n",
    )
    tree.file(
        "proc/net/tcp",
        f"{SOCKETS}  0: 0100007F:24B8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  {UID}        0 1 1 0 0\n",
    )
    (tree.root / "run/systemd/system").mkdir(parents=True)
    usb = {
        "idVendor": "8086",
        "idProduct": "0b07",
        "speed": "5000",
        "busnum": "2",
        "devnum": "4",
        "power/control": "on",
        "power/autosuspend_delay_ms": "2000",
    }
    for name, content in usb.items():
        tree.file(f"{CAMERA}/{name}", f"{content}\n")
    for interface, index in (("0", 0), ("0", 1), ("3", 0)):
        tree.file(f"{CAMERA}:1.{interface}/video4linux/video{interface}{index}/index", f"{index}\n")
        tree.link(f"{CAMERA}:1.{interface}/driver", "../../../../bus/usb/drivers/uvcvideo")
    tree.file("sys/class/thermal/thermal_zone0/type", "cpu-thermal")
    heat(tree, 55)
    policy = "sys/devices/system/cpu/cpufreq/policy0"
    for name, content in {
        "cpuinfo_max_freq": "1728000",
        "scaling_max_freq": "1728000",
        "scaling_governor": "schedutil",
    }.items():
        tree.file(f"{policy}/{name}", f"{content}\n")
    for name, content in {"available_frequencies": "306000000 1020000000", "max_freq": "1020000000"}.items():
        tree.file(f"sys/class/devfreq/17000000.gpu/{name}", f"{content}\n")


def _write_answers(tree: Tree) -> None:
    """The programs of a running machine."""
    tree.python()
    tree.systemctl()
    tree.program("usr/bin/journalctl", "echo '-- No entries --'")
    tree.program("usr/bin/timedatectl", "echo yes")
    tree.program("usr/bin/df", "echo '      Avail'; echo 20000000000")
    tree.program("usr/sbin/nvpmodel", "echo 'NV Power Mode: MAXN_SUPER'; echo 2")
    tree.program("usr/bin/v4l2-ctl", "echo \"[0]: 'D4XX' (Intel D4xx UVC Metadata)\"")


def heat(tree: Tree, degrees_c: float) -> None:
    """Sets the temperature of the only thermal zone."""
    tree.file("sys/class/thermal/thermal_zone0/temp", f"{round(degrees_c * 1000)}\n")
