"""Makes the service's Python environment out of the wheels beside it: no pip, no network, nothing half-made ever in its place.

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

TESTS = re.compile(r"/tests?/")  # of libraries: nobody runs them here, and they take half of the time
COMMAND = """#!{python}
import sys

from handmap.__main__ import main

sys.exit(main())
"""


def make_environment(wheels: Path, place: Path) -> None:
    """Fills a folder beside `place` and exchanges the two by names; the old one goes last."""
    fresh, old = (place.with_name(f"{place.name}.{word}") for word in ("new", "old"))
    for folder in (fresh, old):
        shutil.rmtree(folder, ignore_errors=True)
    venv.EnvBuilder(system_site_packages=True, symlinks=True, with_pip=False).create(fresh)
    for script in (fresh / "bin").glob("[aA]ctivate*"):
        script.unlink()  # they name the folder that this was made in
    library = fresh / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for wheel in sorted(wheels.glob("*.whl")):
        unpack(wheel, library)
    command = fresh / "bin" / "handmap"
    command.write_text(COMMAND.format(python=place / "bin" / "python3"))
    command.chmod(0o755)
    # The daemon may not write here, and would compile all of it at every start.
    compileall.compile_dir(str(library), quiet=2, rx=TESTS, stripdir=str(fresh), prependdir=str(place))
    os.sync()  # a board may lose its power at any moment, and names reach the disk before contents do
    if place.exists():
        place.rename(old)
    fresh.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def unpack(wheel: Path, library: Path) -> None:
    """Unpacks one wheel; of its data folder only what is importable has a place here."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            parts = Path(entry.filename).parts
            if parts[0].endswith(".data"):
                if len(parts) < 3 or parts[1] not in ("purelib", "platlib"):
                    continue
                parts = parts[2:]
            target = library.joinpath(*parts)
            if ".." in parts or entry.filename.startswith("/"):
                raise SystemExit(f"handmap: {wheel} holds {entry.filename!r}, which lies outside of it")
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
