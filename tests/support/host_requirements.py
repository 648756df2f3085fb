"""The locks of a host: what `make demo` and `make setup` install, every library in one version and by the sha256 of its wheel.

python -m tests.support.host_requirements        rewrites constraints/demo-*.txt and develop-*.txt with the newest versions

For x86-64 Linux and the Pythons below, each of which must be installed: pip judges markers by the Python that runs it.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parents[2]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS: Final = ("3.10", "3.11", "3.12", "3.13")
OLDEST_FOR_TRAINING: Final = "3.11"
MIN_GLIBC_MINOR: Final = 28  # .ci/install-locked asks for it: the wheels are those that fit it
PLATFORMS: Final = (*(f"manylinux_2_{minor}_x86_64" for minor in range(MIN_GLIBC_MINOR, 4, -1)), "manylinux2014_x86_64")
BACKEND: Final = "setuptools>=77"  # of pyproject.toml; it builds our own package, without a network
# NVIDIA publishes its Python files as source only, beside the wheels of its libraries; .ci/install-locked names the same.
SOURCES: Final = ("tensorrt-rtx", "tensorrt-rtx-cu13")
# torch itself comes from the index of its CPU builds, pinned in the Makefile; these are the libraries that it needs.
TORCH_NEEDS: Final = ("filelock", "fsspec", "jinja2", "networkx", "sympy", "typing-extensions")


def lock_file(name: str, python: str) -> Path:
    """The lock of `demo` or `develop` for a Python."""
    return ROOT / "constraints" / f"{name}-{python}.txt"


def wanted_by(name: str, python: str) -> list[str]:
    """The requirements of `demo` or `develop`, without torch."""
    if name == "demo":
        return [*_expanded(["host"]), BACKEND]
    if _number(python) < _number(OLDEST_FOR_TRAINING):  # as .ci/make-venv
        return [*_expanded(["synthesis", "calibrate", "test", "vendor", "lint"]), BACKEND]
    all_of_it = [text for text in _expanded(["develop"]) if canonicalize_name(Requirement(text).name) != "torch"]
    return [*all_of_it, *TORCH_NEEDS, BACKEND]


def read_lock(path: Path) -> dict[str, tuple[str, str]]:
    """Version and sha256 by name; any other line is refused."""
    locked = {}
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            continue
        pin, _, digest = line.partition(" --hash=sha256:")
        (specifier,) = Requirement(pin).specifier
        assert specifier.operator == "==" and len(bytes.fromhex(digest)) == 32, line
        locked[str(canonicalize_name(Requirement(pin).name))] = (specifier.version, digest)
    return locked


def write_lock(name: str, python: str) -> None:
    """Asks that Python's pip what it would install, and writes it down."""
    wanted = wanted_by(name, python)
    from_source = [text for text in wanted if canonicalize_name(Requirement(text).name) in SOURCES]
    only_wheels = ["--only-binary", ":all:", "--python-version", python, *(f"--platform={tag}" for tag in PLATFORMS)]
    rows = _choose(python, [*only_wheels, *(text for text in wanted if text not in from_source)])
    if from_source:
        rows = _choose(python, from_source) | rows
    lines = [
        f"# What `make {'demo' if name == 'demo' else 'setup'}` installs with Python {python} on x86-64 Linux.",
        "# Made by: python -m tests.support.host_requirements",
        *(f"{package}=={rows[package]}" for package in sorted(rows)),
    ]
    lock_file(name, python).write_text("\n".join(lines) + "\n")


def _choose(python: str, arguments: list[str]) -> dict[str, str]:
    """The version and hash that this Python's pip chooses, as in a lock, by name."""
    found_by = subprocess.run([ROOT / ".ci/find-python", python], check=True, capture_output=True, text=True)
    environment = {key: text for key, text in os.environ.items() if not key.startswith("PIP_") or key == "PIP_CERT"}
    environment["PIP_CONFIG_FILE"] = os.devnull  # only the public index: what this machine has beside it, others do not
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([found_by.stdout.strip(), "-m", "venv", f"{folder}/venv"], check=True)
        report = Path(folder) / "report.json"
        asked = ["install", "--quiet", "--dry-run", "--ignore-installed", "--disable-pip-version-check"]
        command = [f"{folder}/venv/bin/pip", *asked, "--target", f"{folder}/into", "--report", str(report)]
        subprocess.run([*command, *arguments], check=True, env=environment)
        chosen = json.loads(report.read_text())["install"]
    return {str(canonicalize_name(one["metadata"]["name"])): _row(one) for one in chosen}


def _row(chosen: dict[str, Any]) -> str:
    digest = chosen["download_info"]["archive_info"]["hashes"]["sha256"]
    return f"{chosen['metadata']['version']} --hash=sha256:{digest}"


def _expanded(extras: Iterable[str]) -> list[str]:
    """The requirements of these extras, with those that they name of our own."""
    found, waiting = list(PROJECT["dependencies"]), list(extras)
    seen = set()
    while waiting:
        extra = waiting.pop()
        if extra in seen:
            continue
        seen.add(extra)
        for text in PROJECT["optional-dependencies"][extra]:
            requirement = Requirement(text)
            if canonicalize_name(requirement.name) == PROJECT["name"]:
                waiting += requirement.extras
            else:
                found.append(text)
    return found


def _number(python: str) -> tuple[int, ...]:
    return tuple(map(int, python.split(".")))


if __name__ == "__main__":
    for each in PYTHONS:
        for kind in ("demo", "develop"):
            write_lock(kind, each)
