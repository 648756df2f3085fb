"""Checks of GPU access: device nodes, rights, the daemon's Python, and the engine in the cache."""

from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from handmap.files.reading import decode_json
from handmap.system.jetpack import NO_BOARD

from .account import READ, WRITE, group_names
from .context import Check, DoctorContext, Finding, failed, ok, warning
from .isolation import VENV
from .jetpack import installed_tensorrt
from .machine import NotApplicable

# CUDA does not start unless each group has a node: the memory of Tegra, the GPU itself, and the render node, without
# which cuInit returns 801 on JetPack 6. Orin has nvgpu, Thor nvidia; the folder below nvgpu has a name of its own there.
NODES: Final = {
    "memory": ("nvmap",),
    "GPU": ("nvgpu/*/ctrl", "nvhost-ctrl-gpu", "nvidia0"),
    "render": ("dri/renderD*",),
}
# Further nodes that CUDA opens if they exist.
MORE_NODES: Final = ("nvgpu/*/as", "nvgpu/*/channel", "nvgpu/*/tsg", "nvidiactl", "nvidia-uvm", "host1x-fence")
DEVICE_NAMES: Final = ("nvmap", "nvgpu*", "nvhost*", "host1x*", "nvidia*", "drm", "usb_device", "video4linux")
GROUPS: Final = ("video", "render", "plugdev")
VERSION: Final = "import {0}; print({0}.__version__)"


def check_nodes(context: DoctorContext) -> Finding:
    """Whether the driver has created the nodes that CUDA opens."""
    context.need_running()
    context.need_tensorrt()
    # Only a Jetson has Tegra's memory and render nodes.
    wanted = {"GPU": NODES["GPU"]} if context.l4t == NO_BOARD else NODES
    missing = [f"{what} (/dev/{', /dev/'.join(names)})" for what, names in wanted.items() if not _nodes(context, names)]
    if missing:
        return failed(
            f"missing device nodes: {'; '.join(missing)}",
            "sudo dmesg | grep -iE 'nvgpu|nvidia|nvmap'  # then: sudo reboot",
        )
    return ok(", ".join(str(node) for names in wanted.values() for node in _nodes(context, names)[:1]))


def check_rights(context: DoctorContext) -> Finding:
    """Whether the daemon's user can open these nodes."""
    context.need_running()
    context.need_tensorrt()
    account = context.account
    names = group_names(context.machine)
    closed: dict[Path, str] = {}
    for node in _nodes(context, (*(name for several in NODES.values() for name in several), *MORE_NODES)):
        found = context.machine.stat(node)
        if found is not None and not account.may(READ | WRITE, found):
            closed[node] = names.get(found.st_gid, str(found.st_gid))
    if closed:
        which = ", ".join(f"{node} (group {group})" for node, group in closed.items())
        groups = ",".join(sorted(set(closed.values()) - {"root"}))
        if not groups:  # no user belongs in root's group just because a udev rule missed a node
            nodes = " ".join(context.here(node) for node in closed)
            return failed(f"user {account.name!r} cannot open {which}", f"sudo udevadm trigger && ls -l {nodes}")
        again = (
            "  # then log in again" if context.unit is None else f" && sudo systemctl restart {context.units.daemon}"
        )
        fix = f"sudo usermod --append --groups {groups} {account.name}{again}"
        return failed(f"user {account.name!r} cannot open {which}", fix)
    return ok(f"user {account.name!r} can open all of them")


def check_device_list(context: DoctorContext) -> Finding:
    """Whether a unit with a device list includes all GPU and camera devices of this kernel."""
    context.need_running()
    unit = context.need_unit()
    if unit.get("DevicePolicy") not in ("closed", "strict"):
        raise NotApplicable(f"{context.units.daemon} has no device list")
    characters = (context.machine.text("/proc/devices") or "").partition("Block devices")[0]
    names = [line.split()[1] for line in characters.splitlines() if len(line.split()) == 2]
    if not names:
        raise NotApplicable("/proc/devices shows no devices")
    listed = [word.removeprefix("char-") for word in unit.get("DeviceAllow", "").split() if word.startswith("char-")]
    unlisted = [
        name
        for name in dict.fromkeys(names)
        if any(fnmatch(name, wanted) for wanted in DEVICE_NAMES) and not any(fnmatch(name, one) for one in listed)
    ]
    if unlisted:
        lines = "".join(f"\\nDeviceAllow=char-{name} rw" for name in unlisted)
        return failed(
            f"the device list of {context.units.daemon} lacks {', '.join(unlisted)}",
            f"printf '[Service]{lines}\\n' | sudo tee /etc/systemd/system/{context.units.daemon}.d/more-devices.conf "
            f"&& sudo systemctl daemon-reload && sudo systemctl restart {context.units.daemon}",
        )
    return ok("all GPU and camera devices are listed")


def check_groups(context: DoctorContext) -> Finding:
    """Whether the unit's user exists and is in the groups for GPU and camera."""
    unit = context.need_unit()
    try:
        account = context.account
    except NotApplicable as error:
        return failed(
            f"{error}, but {context.units.daemon} runs as it; the unit would fail with 217/USER",
            f"sudo systemd-sysusers{_at(context, '--root')} handmap.conf",
        )
    if account.uid == 0:
        return warning(
            f"{context.units.daemon} runs as root, wanted a user of its own",
            f"sudo systemctl edit {context.units.daemon}  # [Service] User=handmap",
        )
    known = group_names(context.machine).values()
    absent = [name for name in unit.get("SupplementaryGroups", "").split() if name not in known]
    if absent:
        return failed(
            f"{context.units.daemon} names groups that do not exist: {', '.join(absent)}; it would fail with 216/GROUP",
            " && ".join(f"sudo groupadd --system{_at(context, '--prefix')} {name}" for name in absent),
        )
    missing = [name for name in GROUPS if name in known and name not in account.groups.values()]
    if missing:
        return failed(
            f"user {account.name!r} is not in {', '.join(missing)}",
            f"sudo usermod{_at(context, '--prefix')} --append --groups {','.join(missing)} {account.name}",
        )
    return ok(f"user {account.name!r} in {', '.join(sorted(account.groups.values()))}")


def check_python(context: DoctorContext) -> Finding:
    """Whether the package's Python environment exists and exposes the system's TensorRT."""
    machine = context.machine
    config = machine.text(VENV / "pyvenv.cfg")
    reinstall = context.install("--reinstall ./handmap.deb") if machine.is_running else context.install("handmap.deb")
    if config is None:
        if context.unit is None:
            raise NotApplicable("our package is not installed")
        return failed(f"{context.units.daemon} is installed, but there is no environment at {str(VENV)!r}", reinstall)
    keys = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in config.splitlines())}
    if keys.get("include-system-site-packages") != "true":
        return failed(f"the environment {str(VENV)!r} does not see the system's packages, where TensorRT is", reinstall)
    python = ".".join(keys.get("version", "").split(".")[:2])
    if not machine.is_folder(VENV / f"lib/python{python}/site-packages"):
        return failed(
            f"the environment {str(VENV)!r} was created for Python {python or '?'} but holds no packages for it",
            reinstall,
        )
    own = machine.entries(VENV / f"lib/python{python}/site-packages", "tensorrt*")
    if own:
        return failed(
            f"{own[0].name!r} in the environment hides the system's TensorRT, which is the board's",
            f"sudo rm -r {' '.join(context.here(path) for path in own)}",
        )
    return ok(f"Python {python} in {str(VENV)!r}, with the system's packages")


def check_library(context: DoctorContext) -> Finding:
    """Whether the daemon's Python loads the configured engine's library; for TensorRT, in the version that dpkg reports."""
    context.need_running()
    library = "tensorrt" if context.valid_settings.engine.backend == "tensorrt" else "onnxruntime"
    python = context.python
    answer = context.run_python("-c", VERSION.format(library))
    if answer.code != 0:
        package = (
            context.install("python3-libnvinfer") if library == "tensorrt" else context.install_python("onnxruntime")
        )
        return failed(f"{python} cannot load {library}: {_last_line(answer.err)}", package)
    if library == "tensorrt":
        version = installed_tensorrt(context.machine)
        wanted = ".".join(map(str, (version or ())[:3]))
        if version is not None and not f"{answer.out}.".startswith(f"{wanted}."):
            return failed(
                f"{python} loads TensorRT {answer.out}, but the system has {wanted}: another copy hides it",
                f"{python} -I -c 'import tensorrt; print(tensorrt.__path__)'  # and remove it from there",
            )
    return ok(f"{python} loads {library} {answer.out}")


def check_engine(context: DoctorContext) -> Finding:
    """Whether the cache holds the configured bundle's engine for this device, as the engine unit determines it."""
    context.need_tensorrt()
    settings = context.valid_settings
    if not context.machine.is_running:
        raise NotApplicable("it is built on the board at first boot")
    _ = context.whole_bundle
    build = f"sudo systemctl start {context.units.engine} && sudo systemctl restart {context.units.daemon}"
    if context.unit is None:
        build = f"handmap build-engine --config {context.here(context.config)}"
    cache_dir = context.cache_dir
    if context.machine.has(cache_dir):
        next(cache_dir.iterdir(), None)  # an unreadable cache would look like an empty one
    answer = context.run_python(
        "-m", "handmap", "build-engine", "--config", str(context.config), "--is-needed", "--json",
        environment={"CACHE_DIRECTORY": str(cache_dir.parent)},
    )  # fmt: skip
    try:
        said = decode_json(answer.out, dict)
        is_needed, why = bool(said["needed"]), str(said["why"])
    except (ValueError, KeyError, TypeError):
        return failed(f"the engine cache could not be checked: {_last_line(answer.err)}", build)
    if is_needed:
        return failed(why, build)
    return ok(f"{settings.engine.precision}: {why}")


def _nodes(context: DoctorContext, patterns: tuple[str, ...]) -> list[Path]:
    return [node for pattern in patterns for node in context.machine.entries("/dev", pattern)]


def _at(context: DoctorContext, option: str) -> str:
    """The option that points a program to an image."""
    return "" if context.machine.is_running else f" {option}={context.here('/')}"


def _last_line(text: str) -> str:
    return text.splitlines()[-1] if text else "no output"


CHECKS: Final = (
    Check("cuda.nodes", "device nodes of the GPU", check_nodes),
    Check("cuda.rights", "the daemon can open them", check_rights),
    Check("cuda.device_list", "the unit's device list, if it has one", check_device_list),
    Check("user", "the daemon's user and its groups", check_groups),
    Check("python.environment", "the package's Python environment", check_python),
    Check("python.library", "the engine's library loads", check_library),
    Check("engine", "the engine of this bundle for this device", check_engine),
)
