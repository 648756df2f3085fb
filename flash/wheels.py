"""The wheels of a target: listed in a lock file, downloaded once into a cache, and verified by sha256 before use."""

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from handmap.types.errors import ConfigError, DependencyError

from .targets import BoardTarget


def read_lock(path: Path) -> dict[str, str]:
    """sha256 by file name, from a list in the format of sha256sum.

    Raises ConfigError if a line has another format, or a name occurs twice.
    """
    if not path.is_file():
        raise ConfigError(f"deb: found no list of wheels at {str(path)!r}; write it with: python -m flash.write_locks")
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        digest, _, name = line.partition("  ")
        is_digest = len(digest) == 64 and set(digest) <= set("0123456789abcdef")
        if not is_digest or not name.endswith(".whl") or name.count("-") < 4 or "/" in name or name in found:
            raise ConfigError(
                f"deb: {str(path)!r}, line {number}: found {line!r}, wanted a sha256, two spaces and the name of a wheel that "
                "occurs once; rewrite the list with: python -m flash.write_locks"
            )
        found[name] = digest
    return found


def fetch_wheels(target: BoardTarget, lock: dict[str, str], cache: Path) -> list[Path]:
    """Every wheel of the lock, in the cache folder, sorted by name; pip downloads the missing ones.

    Raises ConfigError if a file does not match the lock, DependencyError if pip cannot download one.
    """
    cache.mkdir(parents=True, exist_ok=True)
    missing = {name: digest for name, digest in lock.items() if not (cache / name).is_file()}
    if missing:
        _download(target, missing, cache)
    for name, wanted in lock.items():
        found = sha256_of(cache / name)
        if found != wanted:
            raise ConfigError(
                f"deb: wheel {str(cache / name)!r} has sha256 {found}, wanted {wanted} from the list for {target.name}; delete the file, "
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
    """Downloads the missing files into the cache; each gets its name only once it is complete."""
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache) as name:
        folder = Path(name)
        wanted = folder / "wanted.txt"
        # A wheel's file name begins with the project's name and version (binary distribution format specification).
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
                f"deb: pip downloaded {len(got)} of {len(missing)} wheels for {target.name} into {str(cache)!r}: {said}; "
                "try again where pip can reach its index, or put the files there by hand"
            )
        for wheel in missing:
            (folder / wheel).replace(cache / wheel)
