"""The version: a base number and the commit. Where the package is installed it is what the build wrote; in a checkout, git tells.

Setup.py runs this file by itself, so it stands on the standard library alone.
"""

import functools
import os
import subprocess
from pathlib import Path
from typing import Final

BASE: Final = "0.2.0"  # of the next release, or of this one where its tag, v0.2.0, is on the commit
WRITTEN: Final = "handmap/system/version.txt"  # by a build, into wheels and source archives; never in a checkout
SHORT_HASH: Final = 10  # digits
GIT_S: Final = 20.0  # a disk may be slow; without an answer the commit is unknown


@functools.cache
def version() -> str:
    """The version of the running program."""
    return version_of(Path(__file__).resolve().parents[2])


def version_of(root: Path, base: str = BASE) -> str:
    """The version of the source or package folder that contains `handmap`.

    0.2.0 where the tag v0.2.0 is on the commit; 0.2.0.dev7+g1a2b3c4d5e before, with the number of commits since the last release;
    0.2.0.post1+g... after it, until the base number is raised. `.dirty` where the files differ from the commit. Without git:
    0.2.0.dev0+unknown.
    """
    written = root / WRITTEN
    if written.is_file():
        return written.read_text(encoding="ascii").strip()
    if not (root / ".git").exists():
        return f"{base}.dev0+unknown"
    commit = _git(root, "rev-parse", f"--short={SHORT_HASH}", "HEAD")
    if not commit:
        return f"{base}.dev0+unknown"
    mark = ".dirty" if _git(root, "status", "--porcelain") != "" else ""
    release = _git(root, "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*.[0-9]*.[0-9]*")
    count = _git(root, "rev-list", "--count", f"refs/tags/{release}..HEAD" if release else "HEAD") or "0"
    if release != f"v{base}":
        return f"{base}.dev{count}+g{commit}{mark}"
    return base if count == "0" and not mark else f"{base}.post{count}+g{commit}{mark}"


def debian_version(version: str) -> str:
    """The same for dpkg, to which the part after `~` comes before the release: 0.2.0~dev7+g1a2b3c4d5e."""
    return version.replace(".dev", "~dev", 1)


def _git(root: Path, *words: str) -> str | None:
    """What git says of a checkout; None if it is not there or refuses."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(root), *words],
            capture_output=True, text=True, errors="replace", check=False, env=environment, timeout=GIT_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
