"""Unpacks wheels into the service's Python environment: without pip or a network, and atomically.

Runs on the board, under the system's own Python: unpack_wheels.py WHEELS VENV
"""

import compileall
import os
import re
import shutil
import sys
import venv
import zipfile
from pathlib import Path

TESTS = re.compile(r"/tests?/")  # of libraries: never run here, and half of the unpacking time
# -I: as root too, nothing is imported from the current folder, PYTHONPATH or the user's own packages.
COMMAND = """#!{python} -I
import sys

from handmap.__main__ import main

sys.exit(main())
"""


def make_environment(wheels: Path, place: Path) -> None:
    """Fills a folder next to `place` and swaps the two by renaming; the old one is deleted last."""
    fresh, old = (place.with_name(f"{place.name}.{word}") for word in ("new", "old"))
    for folder in (fresh, old):
        shutil.rmtree(folder, ignore_errors=True)
    venv.EnvBuilder(system_site_packages=True, symlinks=True, with_pip=False).create(fresh)
    for script in (fresh / "bin").glob("[aA]ctivate*"):
        script.unlink()  # they contain the path of the build folder
    library = fresh / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for wheel in sorted(wheels.glob("*.whl")):
        unpack(wheel, library)
    command = fresh / "bin" / "handmap"
    command.write_text(COMMAND.format(python=place / "bin" / "python3"))
    command.chmod(0o755)
    # The daemon cannot write here, so it would compile everything at every start.
    compileall.compile_dir(str(library), quiet=2, rx=TESTS, stripdir=str(fresh), prependdir=str(place))
    os.sync()  # a board can lose power at any moment, and renames can reach the disk before file contents
    if place.exists():
        place.rename(old)
    fresh.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def unpack(wheel: Path, library: Path) -> None:
    """Unpacks one wheel; only the importable part of its data folder is kept."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            parts = Path(entry.filename).parts
            if parts[0].endswith(".data"):
                if len(parts) < 3 or parts[1] not in ("purelib", "platlib"):
                    continue
                parts = parts[2:]
            target = library.joinpath(*parts)
            if ".." in parts or entry.filename.startswith("/"):
                raise SystemExit(f"handmap: {wheel} contains {entry.filename!r}, a path outside of the environment")
            if entry.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, target.open("wb") as out:
                shutil.copyfileobj(source, out)
            target.chmod(0o644)


if __name__ == "__main__":
    os.umask(0o022)
    make_environment(Path(sys.argv[1]), Path(sys.argv[2]))
