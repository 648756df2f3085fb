"""What can be wrong with the board of board_tree, one thing at a time, and what `handmap doctor` has to say of it."""

from collections.abc import Callable
from typing import TypeAlias

from handmap.bundle.manifest import MANIFEST
from tests.support.board_tree import CAMERA, CONFIG, PACKAGES, SDK, SERIAL, SOCKETS, UID, UNIT, VENV, Tree, heat, say

Break: TypeAlias = Callable[[Tree], object]
Case: TypeAlias = tuple[
    str, str, Break, str, str
]  # check, verdict, how it breaks, words of the evidence, words of the command

BUNDLE = "usr/share/handmap/models/handmap-hand21"
CACHE = "var/cache/handmap/engines"
RELEASE = "etc/nv_tegra_release"
CHIP = "proc/device-tree/compatible"
UNITS = "usr/lib/systemd/system"
LINKS = "etc/systemd/system"
RULES = "usr/lib/udev/rules.d"
SITE = f"{VENV}/lib/python3.10/site-packages"
MODULES = "lib/modules/5.15.148-tegra/modules.dep"
CPU_RATE = "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq"
GPU_RATE = "sys/class/devfreq/17000000.gpu/max_freq"
NO_USER = "root:x:0:0:root:/root:/bin/sh\n"
NEEDS_ROOT = {"rights.bundle"}  # a user who cannot read a file cannot check it either


def put(name: str, content: str) -> Break:
    """A file with other content."""
    return lambda tree: tree.file(name, content)


def gone(*names: str) -> Break:
    """Files or folders that are not there."""
    return lambda tree: tree.remove(*names)


def linked(name: str, target: str) -> Break:
    """A link in the place of a file."""
    return lambda tree: tree.link(name, target)


def mode(name: str, bits: int) -> Break:
    """Other rights."""
    return lambda tree: (tree.root / name).chmod(bits)


def closed_drop_in(tree: Tree) -> None:
    """A drop-in that only root can read."""
    tree.file("etc/handmap/config.d/50-site.yaml", "log: {level: debug}\n")
    (tree.root / "etc/handmap/config.d/50-site.yaml").chmod(0o600)


def answers(name: str, body: str) -> Break:
    """A program that says something else."""
    return lambda tree: tree.program(name, body)


def python(tensorrt: str = "echo 10.3.0", engine: str = "", sdk: str = "") -> Break:
    """A Python that answers something else."""
    return lambda tree: tree.python(tensorrt, engine, sdk)


def unit(**facts: str) -> Break:
    """Units in another state."""
    return lambda tree: tree.systemctl(**facts)


def packages(**versions: str) -> Break:
    """Other Debian packages; __ stands for a dash."""
    return lambda tree: tree.packages({name.replace("__", "-"): version for name, version in versions.items()})


def config(text: str, new: str) -> Break:
    """Another configuration."""
    assert text in CONFIG
    return put("etc/handmap/config.yaml", CONFIG.replace(text, new))


def several(*breaks: Break) -> Break:
    """All of these."""
    return lambda tree: [one(tree) for one in breaks]


def _newer_opset(tree: Tree) -> None:
    file = tree.root / BUNDLE / MANIFEST
    text = file.read_text()
    assert '"opset": 18' in text
    file.write_text(text.replace('"opset": 18', '"opset": 21'))


def _only_their_rules(tree: Tree) -> None:
    (tree.root / RULES / "60-handmap.rules").rename(tree.root / RULES / "99-realsense-libusb.rules")


def second(text: str) -> Break:
    """Another daemon that starts with the board, with this after its bundle."""
    return several(
        put(f"{UNITS}/handmap@.service", UNIT),
        linked(f"{LINKS}/multi-user.target.wants/handmap@left.service", "/usr/lib/systemd/system/handmap@.service"),
        put("etc/handmap/left.yaml", f"bundle: /{BUNDLE}\n{text}"),
    )


FOREIGN_UDP = (
    f"  1: 0100007F:1617 00000000:0000 07 00000000:00000000 00:00000000 00000000  {UID + 1}        0 1 2 0 0\n"
)
FOREIGN = f"  0: 0100007F:24B8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  {UID + 1}        0 1 1 0 0\n"
FOREIGN_PREVIEW = FOREIGN.replace("24B8", "161A")
MASKED = linked("etc/udev/rules.d/60-handmap.rules", "/dev/null")
ONLY_HID = several(gone(f"{CAMERA}:1.0/driver"), linked(f"{CAMERA}:1.3/driver", "../../../../bus/usb/drivers/usbhid"))
SECOND = several(put(f"{CAMERA[:-1]}2/idVendor", "8086"), put(f"{CAMERA[:-1]}2/idProduct", "0b5c"))
ON_GMSL = several(
    put("sys/bus/i2c/drivers/d4xx/9-001a/name", "d4xx"),
    put("sys/class/video4linux/video0/name", "vi-output, DS5 mux 9-001a"),
    put("dev/video0", ""),
    mode("dev/video0", 0o660),
)
HOT = several(
    put("sys/class/thermal/cooling_device0/type", "gpu-throttle-alert"),
    put("sys/class/thermal/cooling_device0/cur_state", "1"),
)
WAS_HOT = several(put("sys/class/hwmon/hwmon3/name", "soctherm_oc"), put("sys/class/hwmon/hwmon3/oc3_event_cnt", "37"))
NO_VIDEO = several(
    put(f"{UNITS}/handmap.service", "[Service]\nUser=handmap\n"),
    put("etc/group", "video:x:44:\nrender:x:45:handmap\n"),
)
SEALED = put(f"{VENV}/pyvenv.cfg", "include-system-site-packages = false")
OTHER_PYTHON = put(f"{VENV}/pyvenv.cfg", "include-system-site-packages = true\nversion = 3.12.3")
MIXED = packages(libnvinfer10="10.3.0.30-1", libnvonnxparsers10="10.3.0.30-1", python3__libnvinfer="10.7.0.23-1")
NO_ENGINE = say({"needed": True, "why": "there is none for this graph"})
OLD_FIRMWARE = say([{**SDK[0], "firmware_version": "5.15.1.0"}])
UNLISTED = put("proc/devices", "Character devices:\n226 drm\n500 host1x-fence\n\nBlock devices:\n")
NO_JOURNAL = "echo 'No journal files were opened due to insufficient permissions.' >&2"

SICK: list[Case] = [
    ("config", "failed", gone("etc/handmap/config.yaml"), "No such file", "sudoedit"),
    ("config", "failed", config("publish", "publsih"), "'publsih'", "handmap run --config"),
    ("bundle", "failed", gone(f"{BUNDLE}/golden.npz"), "golden.npz cannot be read", "--reinstall"),
    ("bundle", "failed", put(f"{BUNDLE}/hand.fp32.onnx", "x"), "has sha256", "--reinstall"),
    ("config.fit", "failed", config("backend: tensorrt", "precision: fp16"), "no fp16 file", "sudoedit"),
    ("network.targets", "failed", config("127.0.0.1", "no-such-host.invalid"), "no route to no-such-host.invalid:5656", "getent"),
    ("network.targets", "failed", config("127.0.0.1", "fe80::1%nowhere0"), "no route to fe80::1%nowhere0:5656", "ip route"),
    ("network.receivers", "warning", put("proc/net/udp", SOCKETS), "UDP port 5656", "handmap listen --port 5656"),
    ("network.control", "failed", put("proc/net/udp", SOCKETS + FOREIGN_UDP), f"user {UID + 1} holds UDP port 5655", "ss -lunp"),
    ("network.telemetry", "failed", put("proc/net/tcp", SOCKETS + FOREIGN), f"user {UID + 1} holds TCP port 9400", "ss -ltnp"),
    ("network.preview", "failed", put("proc/net/tcp", SOCKETS + FOREIGN_PREVIEW), f"user {UID + 1} holds TCP port 5658", "ss -ltnp"),
    ("l4t", "failed", gone(RELEASE), "there is no /etc/nv_tegra_release", "nvidia-l4t-core"),
    ("l4t", "failed", put(RELEASE, "# R35 (release), REVISION: 6.1"), "35.6.1 is too old", "flash"),
    ("l4t", "warning", put(RELEASE, "# R40 (release), REVISION: 1.0"), "40.1.0 is unknown", "--validate"),
    ("l4t", "warning", put(RELEASE, "R9 of another form"), "unknown: R9 of another form", "--validate"),
    ("board", "failed", put(CHIP, "x\0nvidia,tegra264\0"), "(Thor) with L4T 36.4.3, which is for Orin", "flash"),
    ("board", "failed", put(CHIP, "x\0nvidia,tegra194\0"), "Xavier", "flash"),
    ("board", "warning", gone(CHIP), "none of the chips", "compatible"),
    ("tensorrt.packages", "failed", packages(), "no TensorRT", "apt install libnvinfer10"),
    ("tensorrt.packages", "failed", packages(libnvinfer10="10.3.0.30-1"), "lacks libnvonnxparsers10, python3-libnvinfer",
     "apt install libnvonnxparsers10 python3-libnvinfer"),
    ("tensorrt.packages", "failed", MIXED, "different versions", "apt install libnvinfer10"),
    ("tensorrt.packages", "failed", lambda tree: tree.packages(dict.fromkeys(PACKAGES, "10.7.0.23-1")),
     "10.7.0, but JetPack 6.1 or 6.2 comes with 10.3", "nvidia-jetpack"),
    ("tensorrt.opset", "failed", _newer_opset, "opset 21, but TensorRT 10.3.0 reads up to 20", "handmap export"),
    ("cuda.libraries", "failed", gone("usr/local/cuda-12.6"), "libcudart and libnvrtc", "nvidia-jetpack"),
    ("cuda.libraries", "failed", gone("usr/local/cuda-12.6/targets/aarch64-linux/lib/libnvrtc.so.12.6.77"), "lacks libnvrtc", "nvidia-jetpack"),
    ("cuda.nodes", "failed", gone("dev/nvgpu"), "GPU", "dmesg"),
    ("cuda.nodes", "failed", gone("dev/dri"), "render", "dmesg"),
    ("cuda.rights", "failed", mode("dev/nvmap", 0), "cannot open /dev/nvmap (group video)", "usermod --append --groups video handmap"),
    ("cuda.device_list", "failed", UNLISTED, "host1x-fence", "DeviceAllow=char-host1x-fence rw"),
    ("user", "failed", put("etc/passwd", NO_USER), "no user 'handmap'", "systemd-sysusers"),
    ("user", "failed", put("etc/group", "video:x:44:handmap\nplugdev:x:46:handmap\n"), "do not exist: render", "groupadd --system render"),
    ("user", "failed", NO_VIDEO, "not in video", "usermod --append --groups video handmap"),
    ("user", "warning", put(f"{UNITS}/handmap.service", "[Service]\nExecStart=x\n"), "runs as root", "systemctl edit"),
    ("python.environment", "failed", gone(f"{VENV}/pyvenv.cfg"), "no environment", "--reinstall"),
    ("python.environment", "failed", SEALED, "does not see", "--reinstall"),
    ("python.environment", "failed", OTHER_PYTHON, "Python 3.12", "--reinstall"),
    ("python.environment", "failed", put(f"{SITE}/tensorrt/__init__.py", ""), "'tensorrt' in the environment hides", "rm -r"),
    ("python.library", "failed", python(tensorrt="echo 'ImportError: libnvinfer.so.10' >&2; exit 1"),
     "cannot load tensorrt: ImportError", "python3-libnvinfer"),
    ("python.library", "failed", python(tensorrt="echo 10.13.3.9"), "loads TensorRT 10.13.3.9, but the system has 10.3.0", "__path__"),
    ("engine", "failed", python(engine=NO_ENGINE), "there is none for this graph", "systemctl start handmap-engine.service"),
    ("engine", "failed", python(engine="echo 'handmap: GPU: no driver' >&2; exit 78"), "GPU: no driver", "systemctl start"),
    ("camera.bus", "failed", several(gone("sys/bus"), python(sdk=say([]))), "connected over USB or GMSL, and the SDK finds none", "lsusb"),
    ("camera.bus", "failed", several(gone("sys/bus"), python(sdk="echo no libusb >&2; exit 1")), "the SDK cannot be asked: no libusb", "lsusb"),
    ("camera.bus", "failed", several(put(f"{CAMERA}/idVendor", "38e5"), put(f"{CAMERA}/idProduct", "0cfe")), "recovery mode", "rs-fw-update -r"),
    ("camera.bus", "failed", several(SECOND, ON_GMSL), "3 cameras", "rs-enumerate-devices"),
    ("camera.rights", "failed", several(ON_GMSL, mode("dev/video0", 0)), "cannot open /dev/video0", "video4linux"),
    ("camera.bus", "failed", put(f"{CAMERA}/idProduct", "0adb"), "recovery mode", "rs-fw-update -r"),
    ("camera.bus", "failed", SECOND, "2 cameras", "rs-enumerate-devices"),
    ("camera.speed", "failed", put(f"{CAMERA}/speed", "480\n"), "at 480 Mbit/s, wanted 5000", "lsusb -t"),
    ("camera.rights", "failed", mode("dev/bus/usb/002/004", 0), "cannot open /dev/bus/usb/002/004", "udevadm"),
    ("camera.rights", "failed", gone("dev/bus"), "there is no /dev/bus/usb/002/004", "udevadm"),
    ("camera.udev", "failed", gone(f"{RULES}/60-handmap.rules"), "no 60-handmap.rules", "--reinstall"),
    ("camera.udev", "failed", MASKED, "masked", "rm "),
    ("camera.udev", "warning", _only_their_rules, "every user can write", "--reinstall"),
    ("camera.autosuspend", "warning", put(f"{CAMERA}/power/control", "auto\n"), "is suspended", "power/control"),
    ("camera.kernel", "failed", gone(f"{CAMERA}:1.0/driver", f"{CAMERA}:1.3/driver"), "but no driver is", "modprobe uvcvideo"),
    ("camera.kernel", "failed", ONLY_HID, "but usbhid is", "modprobe uvcvideo"),
    ("camera.timestamps", "warning", put(f"{CAMERA}:1.0/video4linux/video01/index", "0"), "no metadata node", "timestamp_source"),
    ("camera.timestamps", "warning", answers("usr/bin/v4l2-ctl", "echo UVCH"), "no D4XX metadata", "timestamp_source"),
    ("camera.sdk", "failed", python(sdk="echo 'the RealSense SDK cannot be loaded' >&2; exit 1"), "cannot be loaded", "libusb-1.0-0"),
    ("camera.sdk", "failed", python(sdk="kill -SEGV $$"), "exited with code -11", "--reinstall"),
    ("camera.sdk", "failed", config("kind: realsense", "kind: realsense, serial: '1'"), "wanted serial '1'", "rs-enumerate-devices"),
    ("camera.firmware", "warning", python(sdk=OLD_FIRMWARE), "has firmware 5.15.1.0, the SDK recommends 5.16.0.1",
     f"rs-fw-update -s {SERIAL} -f Signed_Image_UVC_5_16_0_1.bin"),
    ("service.enabled", "failed", gone(f"{UNITS}/handmap.service"), "handmap.service is not", "--reinstall"),
    ("service.enabled", "failed", linked(f"{LINKS}/handmap.service", "/dev/null"), "masked", "unmask"),
    ("service.enabled", "failed", gone(f"{LINKS}/multi-user.target.wants/handmap.target"), "does not start at boot",
     "systemctl enable handmap.service"),
    ("service.state", "failed", unit(ActiveState="failed", ExecMainStatus="78"), "gave up", "--validate"),
    ("service.state", "failed", unit(ActiveState="failed", Result="watchdog"), "has failed (watchdog", "reset-failed"),
    ("service.state", "failed", unit(ActiveState="inactive"), "is not running", "systemctl start handmap.service"),
    ("service.state", "warning", unit(ActiveState="activating", SubState="auto-restart"), "activating (auto-restart)", "journalctl"),
    ("service.state", "warning", unit(NRestarts="4"), "restarted it 4 times", "journalctl"),
    ("service.engine", "failed", unit(Result="timeout"), "has failed (timeout", "start handmap-engine.service"),
    ("service.engine", "warning", unit(ActiveState="activating", StatusText="engine build 40%"), "engine build 40%", "--follow"),
    ("service.apart", "failed", second("camera: {kind: realsense}\npublish: {targets: [{host: h}]}\n"),
     "handmap.service and handmap@left.service share one camera: give each its own camera.serial", "sudoedit"),
    ("service.apart", "warning", second("camera: {kind: replay, path: r}\npublish: {targets: [{host: h}]}\n"),
     "share one telemetry.port, 9400", "systemctl restart handmap.service handmap@left.service"),
    ("service.apart", "warning", second("camera: {kind: replay, path: r}\npublish: {targets: [{host: 127.0.0.1}]}\ntelemetry: {port: 9401}\n"),
     "one receiver, 127.0.0.1:5656, which cannot tell their streams apart", "left.yaml"),
    ("service.apart", "warning",
     second("camera: {kind: replay, path: r}\npublish: {targets: [{host: h}], control: {}}\ntelemetry: {port: 9401}\n"),
     "one publish.control.port, 5655: receivers reach whichever starts first", "left.yaml"),
    ("service.apart", "warning",
     second("camera: {kind: replay, path: r}\npublish: {targets: [{host: h}]}\ntelemetry: {port: 9401}\n"),
     "one preview.port, 5658: handmap view shows the picture of whichever starts first", "left.yaml"),
    ("service.apart", "warning",
     several(config("camera:", "flight_recorder: {folder: /var/shots}\ncamera:"),
             second("camera: {kind: replay, path: r}\npublish: {targets: [{host: h}]}\ntelemetry: {port: 9401}\npreview: null\n"
                    "flight_recorder: {folder: /var/shots}\n")),
     "one flight_recorder.folder, '/var/shots': each removes snapshots of the other", "left.yaml"),
    ("service.journal", "warning", answers("usr/bin/journalctl", "echo one; echo camera=lost"), "2 errors since boot, the last one: camera=lost",
     "--priority=err"),
    ("service.apart", "failed", second("camera: {kind: realsense}\npublish: {targets: [{host: h}]}\n"),
     "handmap.service and handmap@left.service share one camera: give each its own camera.serial", "sudoedit"),
    ("service.apart", "warning", second("camera: {kind: replay, path: r}\npublish: {targets: [{host: h}]}\n"),
     "share one telemetry.port, 9400", "systemctl restart handmap.service handmap@left.service"),
    ("service.apart", "warning", second("camera: {kind: replay, path: r}\npublish: {targets: [{host: 127.0.0.1}]}\ntelemetry: {port: 9401}\n"),
     "one receiver, 127.0.0.1:5656, which cannot tell their streams apart", "left.yaml"),
    ("service.journal", "warning", answers("usr/bin/journalctl", NO_JOURNAL), "has no access", "sudo handmap doctor"),
    ("rights.config", "failed", mode("etc/handmap/config.yaml", 0o666), "mode 666", "chmod go-w"),
    ("rights.config", "failed", closed_drop_in, "config.d/50-site.yaml'", "chmod a+rX"),
    ("config", "failed", put("etc/handmap/config.d/50-site.yaml", "log:\n  levl: debug\n"), "50-site.yaml', line 2: unknown key", "--validate"),
    ("rights.bundle", "failed", mode(f"{BUNDLE}/golden.npz", 0o600), "cannot read", "chmod -R a+rX"),
    ("rights.cache", "failed", mode(CACHE, 0o770), "writable by others (mode 770)", "chmod 700"),
    ("rights.cache", "failed", config("backend: tensorrt", "backend: tensorrt, cache_dir: /srv/engines"), "no engine cache",
     "install --directory --owner=handmap"),
    ("power.mode", "warning", answers("usr/sbin/nvpmodel", "echo 'NV Power Mode: 15W'; echo 0"), "15W, the fastest is MAXN_SUPER",
     "nvpmodel -m 2"),
    ("power.mode", "warning", answers("usr/sbin/nvpmodel", "echo 'NVPM ERROR' >&2; exit 1"), "NVPM ERROR", "nvpmodel -q"),
    ("power.clocks", "warning", put(CPU_RATE, "1113600"), "1114 of 1728 MHz", "jetson_clocks"),
    ("power.clocks", "warning", put(GPU_RATE, "306000000"), "306 of 1020 MHz", "jetson_clocks"),
    ("temperature", "failed", lambda tree: heat(tree, 95), "every fourth frame", "handmap status"),
    ("temperature", "warning", lambda tree: heat(tree, 86), "every second frame", "handmap status"),
    ("temperature", "failed", HOT, "throttles gpu", "handmap status"),
    ("temperature", "warning", WAS_HOT, "37 oc3", "handmap status"),
    ("disk", "failed", answers("usr/bin/df", "echo Avail; echo 90000000"), "90 MB free", "journalctl --vacuum-size"),
    ("disk", "warning", answers("usr/bin/df", "exit 1"), "df does not report", "df -h"),
    ("memory", "failed", put("proc/meminfo", "MemAvailable: 200000 kB"), "205 MB free", "isolate"),
    ("memory", "warning", put("proc/meminfo", "MemAvailable: 700000 kB"), "717 MB free", "isolate"),
    ("clock", "warning", answers("usr/bin/timedatectl", "echo no"), "not synchronized", "set-ntp"),
]  # fmt: skip

SICK_IMAGES: list[Case] = [
    ("l4t", "failed", gone(RELEASE), "there is no /etc/nv_tegra_release", "sudo ./apply_binaries.sh"),
    ("tensorrt.packages", "failed", packages(), "no TensorRT", "--extra-debs debs  # with libnvinfer10"),
    ("user", "failed", put("etc/passwd", NO_USER), "no user 'handmap'", "systemd-sysusers --root="),
    ("user", "failed", NO_VIDEO, "not in video", "usermod --prefix="),
    ("camera.kernel", "failed", put(MODULES, "kernel/x.ko:"), "uvcvideo is missing from kernel 5.15.148-tegra", "apply_binaries.sh"),
    ("service.enabled", "failed", gone(f"{UNITS}/handmap.service"), "not installed", "flash-overlay"),
    ("service.enabled", "failed", gone(f"{LINKS}/handmap.target.wants/handmap.service"), "start at boot", "systemctl --root="),
    ("config", "failed", gone("etc/handmap/config.yaml"), "No such file", "handmap doctor --image"),
    ("python.environment", "failed", gone(f"{VENV}/pyvenv.cfg"), "no environment", "flash-overlay"),
]  # fmt: skip
