"""What flash-overlay needs to know about Debian packages: files on this machine, and those installed in an image."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handmap.types.errors import ConfigError, DependencyError

from .wheels import sha256_of

# Debian's policy, 5.6: what these fields may hold. Names become paths and arguments of programs that run as root.
FORMS: Final = {
    "Package": r"[a-z0-9][a-z0-9+.-]+",
    "Version": r"(?:\d+:)?[0-9][A-Za-z0-9.+~-]*",
    "Architecture": r"[a-z0-9][a-z0-9-]*",
    "Installed-Size": r"\d{0,15}",
}


@dataclass(frozen=True)
class DebFile:
    """A .deb on this machine."""

    path: Path
    name: str
    version: str
    architecture: str
    depends: tuple[str, ...]  # one clause each, alternatives separated by |
    provides: tuple[str, ...]
    installed_bytes: int
    sha256: str


def read_deb(path: Path) -> DebFile:
    """The metadata of a .deb.

    Raises ConfigError if the file is not a .deb.
    """
    done = run_tool("dpkg-deb", "-f", str(path))
    if done.returncode != 0:
        raise ConfigError(
            f"flash-overlay: {str(path)!r} is not a .deb ({done.stderr.strip()}); build one with: handmap deb --target ..."
        )
    fields = dict(re.findall(r"^([\w-]+): (.*(?:\n .*)*)", done.stdout, re.MULTILINE))
    for key, form in FORMS.items():
        if re.fullmatch(form, fields.get(key, "")) is None:
            raise ConfigError(
                f"flash-overlay: {str(path)!r} has {key}: {fields.get(key, '')!r}, which no Debian package can have; "
                "take the package from its original source"
            )
    clauses = [fields[key] for key in ("Pre-Depends", "Depends") if key in fields]
    return DebFile(
        path, fields["Package"], fields["Version"], fields["Architecture"], tuple(_split(", ".join(clauses))),
        tuple(_split(fields.get("Provides", ""))), int(fields.get("Installed-Size") or "0") * 1024, sha256_of(path),
    )  # fmt: skip


def installed_packages(rootfs: Path) -> dict[str, str]:
    """Version by name of every installed and configured package in the image; "" for names that are only provided.

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
    """dpkg status by name of all packages in the image: installed, half-installed, or removed but not purged.

    Raises ConfigError where the image has no package database, or one that dpkg cannot read.
    """
    states = {name: state for name, state in _query(rootfs, "Package", "db:Status-Status")}
    return {name: state for name, state in states.items() if state != "not-installed"}


def image_architecture(rootfs: Path) -> str:
    """The image's architecture in Debian's terms: that of its dpkg.

    Raises ConfigError if the image has no dpkg.
    """
    form = "${Package}\t${Architecture}\n"
    done = run_tool("dpkg-query", f"--admindir={rootfs / 'var/lib/dpkg'}", "-W", "-f", form, "dpkg")
    if done.returncode != 0:
        raise ConfigError(f"flash-overlay: the image {str(rootfs)!r} has no dpkg; use an Ubuntu root file system")
    return done.stdout.split()[1]


def unmet(deb: DebFile, there: dict[str, str]) -> list[str]:
    """The dependencies of a package that `there` does not satisfy, in apt's syntax with what was found."""
    missing = []
    for clause in deb.depends:
        options = [option.strip() for option in clause.split("|")]
        if not any(_is_met(option, there) for option in options):
            name = options[0].split()[0].split(":")[0]
            found = f"has {there[name]}" if there.get(name) else "has none"
            missing.append(f"{deb.name} needs {clause}, the image {found}")
    return missing


def with_files(there: dict[str, str], debs: list[DebFile]) -> dict[str, str]:
    """The packages of the image once these files are also installed."""
    provided = dict(_provided(one) for deb in debs for one in deb.provides)
    return provided | there | {deb.name: deb.version for deb in debs}


def run_tool(*command: str) -> subprocess.CompletedProcess[str]:
    """Runs a tool of this machine to completion.

    Raises DependencyError if it is not installed.
    """
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError as error:
        raise DependencyError(
            f"flash-overlay: this machine has no {command[0]}; run this on Debian or Ubuntu, or install it"
        ) from error


def _query(rootfs: Path, *fields: str) -> list[list[str]]:
    """These fields of every package in the image's dpkg database."""
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
            "unpack the root file system again"
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
