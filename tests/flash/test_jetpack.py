"""The packages for boards, as far as they can be tested without one: built, linted, unpacked by their own Python, and
all native code for aarch64."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flash.targets import TARGETS
from tests.support.processes import handmap

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("dpkg-deb", "lintian")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
AARCH64 = 183  # EM_AARCH64 of elf.h
# What the package must contain; TensorRT must come from the system.
LIBRARIES = {"cupy", "pyrealsense2", "onnxruntime", "numpy", "msgspec", "yaml", "rosbags", "handmap"}
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        "HANDMAP_IMAGE_TESTS" not in os.environ, reason="downloads 300 MB: asked for by make test-image"
    ),
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}"),
]


def make_deb(name: str, out: Path) -> dict[str, Any]:
    """The command's JSON description of the package."""
    out.mkdir(exist_ok=True)
    done = handmap("deb", "--target", name, "--out", out, "--json", timeout_s=600)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize("name", ["jetpack6", "jetpack7"])
def test_the_package_of_a_board(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    python = ROOT / f".venv-{target.python}" / "bin" / "python"
    if not python.exists():
        pytest.skip(f"needs {python}: make .venv-{target.python}/ready")
    built, again = make_deb(name, tmp_path), make_deb(name, tmp_path / "again")
    package = Path(built["deb"])

    linted = subprocess.run(["lintian", "--allow-root", package], capture_output=True, text=True, check=False)
    assert [line for line in linted.stdout.splitlines() if line.startswith("E:")] == []
    assert "no-manual-page" in linted.stdout, "lintian looked at nothing"

    assert again["sha256"] == built["sha256"]

    subprocess.run(["dpkg-deb", "-x", package, tmp_path / "root"], check=True)
    share, lib = tmp_path / "root/usr/share/handmap", tmp_path / "root/usr/lib/handmap"
    subprocess.run([python, "-I", lib / "unpack_wheels.py", share / "wheels", lib / "venv"], check=True)
    library = lib / f"venv/lib/python{target.python}/site-packages"
    assert {path.name for path in library.iterdir()} >= LIBRARIES
    assert "tensorrt" not in {path.name for path in library.iterdir()}
    compiled = [path for path in library.rglob("*.so*") if path.is_file() and not path.is_symlink()]
    machines = {path: int.from_bytes(path.read_bytes()[18:20], "little") for path in compiled}
    assert len(machines) > 50
    assert {str(path) for path, machine in machines.items() if machine != AARCH64} == set()
