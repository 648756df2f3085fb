"""Debian packages as flash-overlay needs to know them: files on this machine, and what an image has installed."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from handmap.types.errors import ConfigError, DependencyError

from .wheels import sha256_of


@dataclass(frozen=True)
class DebFile:
    """A .deb on this machine."""

    path: Path
    name: str
    version: str
    architecture: str
    depends: tuple[str, ...]  # each one clause, alternatives with |
    provides: tuple[str, ...]
    installed_bytes: int
    sha256: str


def read_deb(path: Path) -> DebFile:
    """What a .deb says of itself.

    Raises ConfigError where the file is none.
    """
    done = run_tool("dpkg-deb", "-f", str(path))
    if done.returncode != 0:
        raise ConfigError(
            f"flash-overlay: {str(path)!r} is no .deb ({done.stderr.strip()}); make one with: handmap deb --target ..."
        )
    fields = dict(re.findall(r"^([\w-]+): (.*(?:\n .*)*)", done.stdout, re.MULTILINE))
    clauses = [fields[key] for key in ("Pre-Depends", "Depends") if key in fields]
    return DebFile(
        path, fields["Package"], fields["Version"], fields["Architecture"], tuple(_split(", ".join(clauses))),
        tuple(_split(fields.get("Provides", ""))), int(fields.get("Installed-Size", "0")) * 1024, sha256_of(path),
    )  # fmt: skip


def installed_packages(rootfs: Path) -> dict[str, str]:
    """Version by name of every package that is installed and configured in the image; "" for names that one only provides.

    Raises ConfigError where the image has no package database, or one that dpkg cannot read.
    """
    found: dict[str, str] = {}
    provided: dict[str, str] = {}
    for name, state, version, provides in _query(rootfs, "Package", "db:Status-Status", "Version", "Provides"):
        if state == "installed":
            found[name] = version
            provided |= dict(_provided(one) for one in _split(provides))
    return provided | found


def package_states(rootfs: Path) -> dict[str, str]:
    """In dpkg's words, by name: what is in the image whole or half-way, or was removed but for its configuration.

    Raises ConfigError where the image has no package database, or one that dpkg cannot read.
    """
    states = {name: state for name, state in _query(rootfs, "Package", "db:Status-Status")}
    return {name: state for name, state in states.items() if state != "not-installed"}


def image_architecture(rootfs: Path) -> str:
    """In Debian's words: that of the image's dpkg.

    Raises ConfigError where it has none.
    """
    form = "${Package}\t${Architecture}\n"
    done = run_tool("dpkg-query", f"--admindir={rootfs / 'var/lib/dpkg'}", "-W", "-f", form, "dpkg")
    if done.returncode != 0:
        raise ConfigError(f"flash-overlay: the image {str(rootfs)!r} has no dpkg; take a root file system of Ubuntu")
    return done.stdout.split()[1]


def unmet(deb: DebFile, there: dict[str, str]) -> list[str]:
    """The dependencies of a package that nothing in `there` meets, in apt's words with what was found."""
    missing = []
    for clause in deb.depends:
        options = [option.strip() for option in clause.split("|")]
        if not any(_is_met(option, there) for option in options):
            name = options[0].split()[0].split(":")[0]
            found = f"has {there[name]}" if there.get(name) else "has none"
            missing.append(f"{deb.name} needs {clause}, the image {found}")
    return missing


def with_files(there: dict[str, str], debs: list[DebFile]) -> dict[str, str]:
    """What the image would have with these files installed too."""
    provided = dict(_provided(one) for deb in debs for one in deb.provides)
    return provided | there | {deb.name: deb.version for deb in debs}


def run_tool(*command: str) -> subprocess.CompletedProcess[str]:
    """A tool of this machine, to its end.

    Raises DependencyError where it is not there.
    """
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError as error:
        raise DependencyError(
            f"flash-overlay: {command[0]} is not on this machine; run this on Debian or Ubuntu, or install it there"
        ) from error


def _query(rootfs: Path, *fields: str) -> list[list[str]]:
    """These fields of every package that the image's dpkg knows."""
    database = rootfs / "var/lib/dpkg"
    if not (database / "status").is_file():
        raise ConfigError(
            f"flash-overlay: {str(rootfs)!r} has no package database (var/lib/dpkg/status); unpack the root file system there"
        )
    form = "\t".join(f"${{{field}}}" for field in fields) + "\n"
    done = run_tool("dpkg-query", f"--admindir={database}", "-W", "-f", form)
    if done.returncode != 0:
        raise ConfigError(
            f"flash-overlay: the package database {str(database)!r} cannot be read ({' '.join(done.stderr.split())}); "
            "unpack the root file system anew"
        )
    return [line.split("\t") for line in done.stdout.splitlines()]


def _is_met(option: str, there: dict[str, str]) -> bool:
    parts = re.fullmatch(r"(?P<name>[^\s:(]+)(?::\w+)?(?:\s*\((?P<sign>[<>=]+)\s*(?P<version>[^)]+)\))?", option)
    if parts is None or parts["name"] not in there:
        return False
    if parts["sign"] is None:
        return True
    found = there[parts["name"]]
    return (
        bool(found) and run_tool("dpkg", "--compare-versions", found, parts["sign"], parts["version"]).returncode == 0
    )


def _provided(clause: str) -> tuple[str, str]:
    name, _, version = clause.partition(" (=")
    return name.strip(), version.strip(" )")


def _split(text: str) -> list[str]:
    return [clause.strip() for clause in text.replace("\n", " ").split(",") if clause.strip()]
