"""The account the daemon runs as, and what it and the daemon's unit allow.

All of it is read from the machine's own files, since the users of an image are not those of the host.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .machine import Machine

UNIT_FOLDERS: Final = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")

READ: Final = 4
WRITE: Final = 2
ENTER: Final = 1
LISTS: Final = (
    "SupplementaryGroups",
    "DeviceAllow",
    "ReadWritePaths",
)  # unit keys whose values accumulate until an empty one resets them


YES: Final = ("yes", "true", "on", "1")
# Unit keys, and the paths they hide from its process.
HIDING: Final = {"ProtectHome": ("/home", "/root", "/run/user"), "PrivateTmp": ("/tmp", "/var/tmp")}


@dataclass(frozen=True)
class Account:
    """A user and all its groups."""

    name: str
    uid: int
    groups: dict[int, str]  # names by number

    def may(self, want: int, found: os.stat_result) -> bool:
        """Whether the mode and owner of a file allow READ, WRITE, ENTER or a combination of them."""
        if self.uid == 0:
            return True
        shift = 6 if found.st_uid == self.uid else 3 if found.st_gid in self.groups else 0
        return (found.st_mode >> shift) & want == want


def read_unit(machine: Machine, name: str) -> dict[str, str] | None:
    """The keys of an installed unit and its drop-ins: the last value of each, for LISTS all values, space-separated.

    An instance has its template's file and drop-ins as well as its own. Returns None if there is no such unit.
    """
    names = [re.sub("@.*[.]", "@.", name), name] if "@" in name else [name]
    files = [Path(folder) / each for each in reversed(names) for folder in UNIT_FOLDERS]
    files = [file for file in files if machine.has(file)][:1]
    if not files:
        return None
    # systemd reads drop-ins in order of name, from every folder; of two with the same name, the instance's or /etc's wins.
    folders = [Path(folder) / f"{each}.d" for each in names for folder in reversed(UNIT_FOLDERS)]
    drop_ins = {file.name: file for folder in folders for file in machine.entries(folder, "*.conf")}
    files += [drop_ins[name] for name in sorted(drop_ins)]
    keys: dict[str, str] = {}
    for line in (line for file in files for line in (machine.text(file) or "").splitlines()):
        key, equals, value = (word.strip() for word in line.partition("="))
        if equals and not key.startswith(("#", ";")):
            keys[key] = f"{keys.get(key, '')} {value}" if key in LISTS and value else value
    return keys


def hidden_by(unit: dict[str, str], path: Path) -> str | None:
    """The setting of a unit that hides a path of the machine from its process; None if none does."""
    for key, folders in HIDING.items():
        if unit.get(key) in (*YES, "tmpfs") and any(path.is_relative_to(folder) for folder in folders):
            return f"{key}={unit[key]}"
    return None


def lets_write(unit: dict[str, str], path: Path) -> bool:
    """Whether a unit lets its process write to a path of the machine, as far as ProtectSystem=strict is concerned."""
    own = [f"/var/cache/{name}" for name in unit.get("CacheDirectory", "").split()]
    own += [f"/var/lib/{name}" for name in unit.get("StateDirectory", "").split()]
    own += [name.lstrip("-+") for name in unit.get("ReadWritePaths", "").split()]
    return unit.get("ProtectSystem") != "strict" or any(path.is_relative_to(folder) for folder in own)


def find_account(machine: Machine, user: str, more_groups: str = "") -> Account | None:
    """The user of this name, with its groups from the machine and a unit's SupplementaryGroups=; None if there is no such user."""
    found = next((fields for fields in _table(machine, "/etc/passwd") if len(fields) > 3 and fields[0] == user), None)
    if found is None:
        return None
    uid, own = int(found[2]), int(found[3])
    groups = {
        int(fields[2]): fields[0]
        for fields in _table(machine, "/etc/group")
        if len(fields) > 3
        and (int(fields[2]) == own or user in fields[3].split(",") or fields[0] in more_groups.split())
    }
    return Account(user, uid, {own: user, **groups})


def group_names(machine: Machine) -> dict[int, str]:
    """Every group of the machine, by number."""
    return {int(fields[2]): fields[0] for fields in _table(machine, "/etc/group") if len(fields) > 2}


def this_account(machine: Machine) -> Account:
    """The account running this program."""
    names = {int(fields[2]): fields[0] for fields in _table(machine, "/etc/passwd") if len(fields) > 2}
    known = group_names(machine)
    groups = {gid: known.get(gid, str(gid)) for gid in (os.getegid(), *os.getgroups())}
    return Account(names.get(os.geteuid(), str(os.geteuid())), os.geteuid(), groups)


def _table(machine: Machine, name: str) -> list[list[str]]:
    """Lines of passwd or group, without the entries that stand for a directory service (+::::::)."""
    lines = (machine.text(name) or "").splitlines()
    return [line.split(":") for line in lines if not line.startswith(("+", "-"))]
