"""Checks of NVIDIA's software: Jetson release, board, TensorRT, CUDA libraries, and whether they can run the bundle."""

import re
from pathlib import Path
from typing import Final

from handmap.system.jetpack import JETPACKS, NO_BOARD, RELEASE_FILE, Version, parse_version, show_version

from .context import Check, DoctorContext, Finding, failed, ok, warning
from .machine import Machine, NotApplicable

DPKG_STATUS: Final = "/var/lib/dpkg/status"
DEVICE_TREE: Final = "/proc/device-tree/compatible"
CHIPS: Final = {"nvidia,tegra234": "Orin", "nvidia,tegra264": "Thor", "nvidia,tegra194": "Xavier"}
# Runtime and parser belong together; the Python module is a separate package.
TENSORRT_PACKAGES: Final = ("libnvinfer{0}", "libnvonnxparsers{0}", "python3-libnvinfer")
# Highest opset of TensorRT's ONNX parser by version, from operators.md in onnx-tensorrt.
OPSETS: Final[tuple[tuple[Version, int], ...]] = (((10, 15), 24), ((10, 0), 20))
OLDEST: Final = JETPACKS[0].since


def check_release(context: DoctorContext) -> Finding:
    """Whether the daemon supports this L4T release."""
    if context.l4t == NO_BOARD:
        if context.machine.is_running and _chip(context.machine) is None:
            raise NotApplicable("this is not a Jetson")
        return failed(
            f"there is no {RELEASE_FILE}, which every L4T root file system has",
            "sudo apt install --reinstall nvidia-l4t-core" if context.machine.is_running
            else context.apply_binaries(),
        )  # fmt: skip
    if context.jetpack is not None:
        return ok(f"L4T {context.l4t} of JetPack {context.jetpack.name}")
    version = parse_version(context.l4t)
    if version and version < OLDEST:
        return failed(
            f"L4T {context.l4t} is too old, wanted {show_version(OLDEST)} or newer",
            f"cat {context.here(RELEASE_FILE)}  # then flash JetPack 6.2 or 7.2",
        )
    return warning(
        f"L4T {context.l4t} is unknown, so it has not been tried",
        f"handmap run --config {context.here(context.config)} --validate  # then let it run for a day",
    )


def check_board(context: DoctorContext) -> Finding:
    """Whether this JetPack supports this board."""
    context.need_running()
    context.need_jetson()
    chip = _chip(context.machine)
    model = context.machine.text("/proc/device-tree/model") or "unnamed"
    if chip is None:
        return warning(
            f"the board {model!r} has none of the chips {', '.join(CHIPS.values())}", f"tr '\\0' '\\n' < {DEVICE_TREE}"
        )
    boards = ("Orin", "Thor") if context.jetpack is None else context.jetpack.boards
    if chip not in boards:
        return failed(
            f"{model} ({chip}) with L4T {context.l4t}, which is for {' and '.join(boards)}",
            f"cat {RELEASE_FILE}  # then flash the JetPack of this board",
        )
    return ok(f"{model} ({chip})")


def check_tensorrt(context: DoctorContext) -> Finding:
    """Whether TensorRT's packages are installed, all in the one version that belongs to the JetPack."""
    context.need_tensorrt()
    found = installed_tensorrt(context.machine)
    if found is None:
        return failed(
            "neither libnvinfer10 nor libnvinfer11 is installed, so there is no TensorRT",
            context.install("libnvinfer10 libnvonnxparsers10 python3-libnvinfer"),
        )
    packages = _packages(context.machine)
    names = [name.format(found[0]) for name in TENSORRT_PACKAGES]
    missing = [name for name in names if name not in packages]
    if missing:
        return failed(f"TensorRT {show_version(found)} lacks {', '.join(missing)}", context.install(" ".join(missing)))
    versions = {packages[name] for name in names}
    if len(versions) > 1:
        return failed(
            f"TensorRT's packages have different versions: {', '.join(sorted(versions))}",
            context.install(" ".join(names)),
        )
    jetpack = context.jetpack
    if jetpack is not None and found[:2] not in jetpack.tensorrt:
        wanted = " or ".join(show_version(version) for version in jetpack.tensorrt)
        return failed(
            f"TensorRT {show_version(found)}, but JetPack {jetpack.name} comes with {wanted}",
            context.install("nvidia-jetpack python3-libnvinfer"),
        )
    return ok(f"{names[0]} {packages[names[0]]}, parser and Python module alike")


def check_opset(context: DoctorContext) -> Finding:
    """Whether TensorRT's parser can read the bundle's graphs."""
    context.need_tensorrt()
    version = installed_tensorrt(context.machine)
    if version is None:
        raise NotApplicable("there is no TensorRT")
    opset = context.whole_bundle.manifest.provenance.opset
    max_opset = next((max_opset for since, max_opset in OPSETS if version >= since), 17)
    if opset > max_opset:
        return failed(
            f"the bundle's graphs use opset {opset}, but TensorRT {show_version(version)} reads up to {max_opset}",
            "handmap export --checkpoint M.pt2 --samples R --out B  # with the HandMap release for this JetPack",
        )
    return ok(f"opset {opset}, TensorRT {show_version(version)} reads up to {max_opset}")


def check_cuda(context: DoctorContext) -> Finding:
    """Whether CuPy finds CUDA's runtime and compiler libraries in the JetPack's major version."""
    context.need_tensorrt()
    machine = context.machine
    installed = machine.entries("/usr/local", "cuda*")
    folders = [Path("/usr/lib/aarch64-linux-gnu"), *(folder / "lib64" for folder in installed)]
    folders += [
        folder / "targets" / target / "lib" for folder in installed for target in ("aarch64-linux", "sbsa-linux")
    ]
    majors = {library: _majors(machine, folders, library) for library in ("libcudart", "libnvrtc")}
    wanted = {12, 13} if context.jetpack is None else {context.jetpack.cuda}
    missing = [library for library, found in majors.items() if not found & wanted]
    if missing:
        numbers = " or ".join(str(major) for major in sorted(wanted))
        seen = ", ".join(f"{library} {sorted(found) or 'none'}" for library, found in majors.items())
        return failed(f"CUDA {numbers} lacks {' and '.join(missing)} (found {seen})", context.install("nvidia-jetpack"))
    return ok(", ".join(f"{library} {max(found & wanted)}" for library, found in majors.items()))


def installed_tensorrt(machine: Machine) -> Version | None:
    """The version of the libnvinfer package that the Python module uses, else of the newest."""
    packages = _packages(machine)
    found = [parse_version(version) for name, version in packages.items() if re.fullmatch(r"libnvinfer\d+", name)]
    loaded = parse_version(packages.get("python3-libnvinfer", ""))[:1]
    return max((version for version in found if version[:1] == loaded), default=max(found, default=None))


def _majors(machine: Machine, folders: list[Path], library: str) -> set[int]:
    """The major versions of a shared library in the folders."""
    files = [file for folder in folders for file in machine.entries(folder, f"{library}.so.[0-9]*")]
    return {parse_version(file.name.split(".so.")[1])[0] for file in files}


def _packages(machine: Machine) -> dict[str, str]:
    """Versions of the packages that dpkg has installed, by name."""
    found: dict[str, str] = {}
    for block in (machine.text(DPKG_STATUS) or "").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(" "))
        if fields.get("Status", "").endswith(" ok installed"):
            found[fields.get("Package", "")] = fields.get("Version", "")
    return found


def _chip(machine: Machine) -> str | None:
    names = (machine.text(DEVICE_TREE) or "").split("\0")
    return next((CHIPS[name] for name in names if name in CHIPS), None)


CHECKS: Final = (
    Check("l4t", "the Jetson release is supported", check_release),
    Check("board", "the release is for this board", check_board),
    Check("tensorrt.packages", "TensorRT is installed, in JetPack's version", check_tensorrt),
    Check("tensorrt.opset", "TensorRT can read the bundle", check_opset),
    Check("cuda.libraries", "CUDA's libraries are installed", check_cuda),
)
