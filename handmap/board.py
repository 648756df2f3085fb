"""Which Jetson release this machine runs, from the file that NVIDIA's root file systems carry."""

import re
from pathlib import Path
from typing import Final

RELEASE_FILE: Final = Path("/etc/nv_tegra_release")
NO_BOARD: Final = "none"
# First line: "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: ..."
_RELEASE: Final = re.compile(r"R(?P<major>\d+)\s*\(release\),\s*REVISION:\s*(?P<minor>\d+(?:\.\d+)*)")
_MOST_CHARACTERS: Final = 80


def read_l4t_release(path: Path = RELEASE_FILE) -> str:
    """The L4T release such as `36.4.3`, or `none` on a machine that is no Jetson.

    A file in a form unknown here gives its first line, so that two releases still differ.
    """
    try:
        first = path.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    except OSError:
        return NO_BOARD
    found = _RELEASE.search(first)
    return f"{found['major']}.{found['minor']}" if found else f"unknown: {first.strip()[:_MOST_CHARACTERS]}"
