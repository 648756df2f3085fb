"""The wheels of a target: named by a lock file, downloaded once into a cache, and never used before their sha256 is right."""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from handmap.types.errors import ConfigError, DependencyError

from .targets import BoardTarget


def read_lock(path: Path) -> dict[str, str]:
    """sha256 by file name, from a list as sha256sum writes it.

    Raises ConfigError where a line is anything else, or a name comes twice.
    """
    if not path.is_file():
        raise ConfigError(f"deb: no list of wheels at {str(path)!r}; write it with: python -m flash.write_locks")
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        digest, _, name = line.partition("  ")
        is_digest = len(digest) == 64 and set(digest) <= set("0123456789abcdef")
        if not is_digest or not name.endswith(".whl") or name.count("-") < 4 or "/" in name or name in found:
            raise ConfigError(
                f"deb: {str(path)!r}, line {number}: found {line!r}, wanted a sha256, two blanks and the name of a wheel that "
                "comes once; write the list anew with: python -m flash.write_locks"
            )
        found[name] = digest
    return found


def fetch_wheels(target: BoardTarget, lock: dict[str, str], cache: Path) -> list[Path]:
    """Every wheel of the lock in the cache folder, sorted by name; what is missing is downloaded by pip.

    Raises ConfigError where a file is not what the lock says, DependencyError where pip cannot get one.
    """
    cache.mkdir(parents=True, exist_ok=True)
    missing = {name: digest for name, digest in lock.items() if not (cache / name).is_file()}
    if missing:
        _download(target, missing, cache)
    for name, wanted in lock.items():
        found = sha256_of(cache / name)
        if found != wanted:
            raise ConfigError(
                f"deb: wheel {str(cache / name)!r} has sha256 {found}, the list for {target.name} says {wanted}; delete the file, "
                "and it will be downloaded again"
            )
    return [cache / name for name in sorted(lock)]


def sha256_of(path: Path) -> str:
    """In hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _download(target: BoardTarget, missing: dict[str, str], cache: Path) -> None:
    """Puts the missing files into the cache, each under its name only when it is whole."""
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache) as name:
        folder = Path(name)
        wanted = folder / "wanted.txt"
        # A wheel's name begins with name and version: the specification of binary distributions.
        rows = [f"{'=='.join(wheel.split('-')[:2])} --hash=sha256:{digest}\n" for wheel, digest in missing.items()]
        wanted.write_text("".join(rows))
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
                *("--require-hashes", "--only-binary", ":all:", "--dest", str(folder), "--requirement", str(wanted)),
                *("--python-version", target.python, *(f"--platform={tag}" for tag in target.platforms)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        got = {path.name for path in folder.glob("*.whl")}
        if done.returncode != 0 or got != set(missing):
            said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise DependencyError(
                f"deb: downloading {len(missing)} wheels for {target.name} into {str(cache)!r}, pip got {len(got)} and said: {said}; "
                "try again where pip can reach its index, or put the files there by hand"
            )
        for wheel in missing:
            (folder / wheel).replace(cache / wheel)
