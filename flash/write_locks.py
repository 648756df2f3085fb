"""Rewrites constraints/*.lock: the sha256 and file name of every wheel in a .deb. The only step that queries the index.

python -m flash.write_locks [target ...]
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote

from .targets import TARGETS, BoardTarget

CHECKOUT = Path(__file__).resolve().parents[1]
# Debian without JetPack does not need them, and the camera library has no wheel for Python 3.11 on aarch64.
BOARD_ONLY = ("cupy", "cuda-pathfinder", "pyrealsense2")


def write_lock(target: BoardTarget) -> None:
    """Asks pip for the wheels of one target and writes their list in the format of sha256sum."""
    pins = CHECKOUT / "constraints" / f"{target.name}.txt"
    if pins.is_file():
        wanted = ["--no-deps", *_lines(pins)]
    else:
        # The requirements of the newer board, in the versions that fit this Python.
        board = _lines(CHECKOUT / "constraints" / "jetpack7.txt")
        wanted = [line.partition("==")[0] for line in board if not line.startswith(BOARD_ONLY)]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--target", folder),
            *("--only-binary", ":all:", "--report", str(report), "--python-version", target.python),
            *(f"--platform={tag}" for tag in target.platforms),
        ]
        subprocess.run([*command, *wanted], check=True)
        chosen = [item["download_info"] for item in json.loads(report.read_text())["install"]]
    rows = {unquote(one["url"].rsplit("/", 1)[1]): one["archive_info"]["hashes"]["sha256"] for one in chosen}
    lines = [f"{digest}  {name}" for name, digest in sorted(rows.items(), key=lambda row: row[0].lower())]
    target.lock(CHECKOUT).write_text("\n".join(lines) + "\n")


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


if __name__ == "__main__":
    for name in sys.argv[1:] or TARGETS:
        write_lock(TARGETS[name])
