"""Installs an example package for one test, beside what is installed."""

import subprocess
import sys
from pathlib import Path


def installed_from(example: Path, folder: Path) -> Path:
    """A folder of packages with the example in it, unpacked from its wheel; it belongs on PYTHONPATH."""
    source, site = folder / "source", folder / "site"
    source.mkdir()
    for file in example.iterdir():  # setuptools leaves its traces where it builds
        if file.is_file():
            (source / file.name).write_bytes(file.read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--wheel-dir", str(folder), str(source)], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(site)], check=True)
    return site
