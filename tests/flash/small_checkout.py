"""A checkout with everything that a package needs, packed in seconds."""

import shutil
import subprocess
import zipfile
from pathlib import Path

from flash.contents import FOLDERS
from flash.wheels import sha256_of
from handmap.system.version import BASE

ROOT = Path(__file__).resolve().parents[2]
SETUP = """\
import runpy

from setuptools import setup

setup(
    version=runpy.run_path("handmap/system/version.py")["version_of"](__import__("pathlib").Path().resolve()),
    packages=["handmap", "handmap.system"],
    package_data={"handmap.system": ["version.txt"]},
)
"""
WHEEL = "tiny-1.0-py3-none-any.whl"


def small_checkout(folder: Path) -> tuple[Path, Path]:
    """A git checkout with the real units and maintainer scripts, one small model and one library; and a cache with its wheel."""
    checkout, cache = folder / "checkout", folder / "cache"
    shutil.copytree(ROOT / "systemd", checkout / "systemd")
    for source in FOLDERS:
        (checkout / source).mkdir(parents=True, exist_ok=True)
        if not source.startswith("systemd"):
            (checkout / source / "content.txt").write_text(source)
    (checkout / "handmap/system").mkdir(parents=True)
    shutil.copyfile(ROOT / "handmap/system/version.py", checkout / "handmap/system/version.py")
    (checkout / "handmap/system/__init__.py").touch()
    (checkout / "handmap/__init__.py").write_text(
        "from handmap.system.version import version\n\n__version__ = version()\n"
    )
    (checkout / "setup.py").write_text(SETUP)
    (checkout / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "handmap-edge"\ndynamic = ["version"]\n'
    )
    cache.mkdir()
    with zipfile.ZipFile(cache / WHEEL, "w") as archive:
        archive.writestr(zipfile.ZipInfo("tiny/__init__.py"), "ANSWER = 42\n")
        archive.writestr(zipfile.ZipInfo("tiny-1.0.data/purelib/beside.py"), "")
        archive.writestr(zipfile.ZipInfo("tiny-1.0.data/scripts/tool"), "")
    (checkout / "constraints").mkdir()
    for name in ("debian12-amd64", "jetpack6", "jetpack7"):
        (checkout / "constraints" / f"{name}.lock").write_text(f"{sha256_of(cache / WHEEL)}  {WHEEL}\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"], ["tag", f"v{BASE}"]):
        author = ["-c", "user.name=a", "-c", "user.email=a@b.invalid"]
        subprocess.run(["git", "-C", str(checkout), *author, *command], check=True)
    return checkout, cache
