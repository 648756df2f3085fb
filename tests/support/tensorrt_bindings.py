"""NVIDIA's own Python bindings of TensorRT, without TensorRT: fetched from the package index, imported over libraries that do nothing."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from handmap.files.atomic import new_folder
from tests.support.compiled import compile_library

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "tensorrt_bindings"
LIBRARIES = ("libnvinfer", "libnvinfer_plugin", "libnvonnxparser")
PACKAGES = {  # by version, with the Python of the JetPack that has it
    "10.3.0": ("tensorrt-cu12-bindings", "3.10"),
    "10.13.3.9": ("tensorrt-cu12-bindings", "3.12"),
    "10.16.1.11": ("tensorrt-cu12-bindings", "3.12"),
    "11.4.0.106": ("tensorrt-cu13-bindings", "3.12"),
}


def check_bindings(version: str, names: Iterable[str], libraries: Path) -> dict[str, Any]:
    """What tests/support/check_bindings.py says of a version, run by a Python that its wheel is for.

    The libraries that do nothing are put into the folder `libraries`. Skips the test where the wheel cannot be had.
    """
    python = _python_for(PACKAGES[version][1])
    major = version.partition(".")[0]
    for library in LIBRARIES:
        compile_library("fake_nvinfer.c", libraries / f"{library}.so.{major}")
    folders = {"PYTHONPATH": str(_unpacked(version, _tag(python))), "LD_LIBRARY_PATH": str(libraries)}
    return run_check(python, "tensorrt_bindings", names, folders)


def run_check(python: Path, module: str, names: Iterable[str], folders: dict[str, str]) -> dict[str, Any]:
    """Runs the check in a process of its own, every warning an error."""
    command = [str(python), "-W", "error", "-m", "tests.support.check_bindings", module]
    done = subprocess.run(
        command, input=json.dumps(sorted(names)), cwd=ROOT, env={**os.environ, **folders}, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _python_for(version: str) -> Path:
    """The board's own Python where the matrix's environment has been made, else this one."""
    found = ROOT / f".venv-{version}" / "bin" / "python"
    return found if found.exists() else Path(sys.executable)


def _tag(python: Path) -> str:
    code = "import sys; print(f'{sys.version_info[0]}{sys.version_info[1]}')"
    return subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def _unpacked(version: str, tag: str) -> Path:
    """The folder of an unpacked wheel; fetched once, never part of the repository: the license does not allow it."""
    folder = CACHE / f"{version}-cp{tag}"
    if folder.exists():
        return folder
    with new_folder(folder) as new:
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version", tag,
            "--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_17_x86_64", "--dest", str(new),
            f"{PACKAGES[version][0]}=={version}",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            pytest.skip(f"needs {command[-1]} from the package index: {done.stderr.strip().splitlines()[-1]}")
        (wheel,) = new.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(new)
        wheel.unlink()
    return folder
