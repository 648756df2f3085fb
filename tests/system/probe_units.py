"""Units that try what a sandbox denies: one with all that handmap.service asks of systemd, and one that asks for nothing."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.system.root_filesystem import SYSTEMD

PROBES: Final = (Path(__file__).parent / "probes.py").read_text()
# How the daemon runs, which a probe does not do.
OF_THE_DAEMON: Final = ("Type", "NotifyAccess", "Exec", "Restart", "Watchdog", "Timeout", "OOMPolicy")


def sandbox_of(path: str) -> str:
    """The lines of a unit or drop-in, of those in systemd/, that say what a service may do."""
    section = (SYSTEMD / path).read_text().split("[Service]\n")[1].split("[Install]")[0]
    return "\n".join(line for line in section.splitlines() if line and not line.startswith(("#", *OF_THE_DAEMON)))


def probe_unit(names: Sequence[str], user: str, sandbox: str = "", more: str = "") -> str:
    """A unit that makes these probes as a user, in a sandbox."""
    arguments = " ".join(f'"{name}"' for name in names)
    return (
        f"[Unit]\nDescription=Probes\n[Service]\n{sandbox}\nType=oneshot\nUser={user}\nGroup={user}\n"
        f"ExecStart=/usr/bin/python3 /usr/share/probes.py {arguments}\n{more}"
    )


def answers(log: str) -> dict[str, str]:
    """The results of a probe, from its last line in a log."""
    lines = [line.split("PROBES ", 1)[1] for line in log.splitlines() if "PROBES {" in line]
    found: dict[str, str] = json.loads(lines[-1])
    return found
