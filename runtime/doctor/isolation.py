"""Which Python the doctor starts, and how: often as root, in whatever folder the user is in."""

import site
import sys
from pathlib import Path
from typing import Final

from .machine import LIVE_ROOT, Machine, NotApplicable

VENV: Final = Path("/usr/lib/handmap/venv")


def daemons_python(machine: Machine) -> str:
    """The daemon's interpreter: our package's, else the one that runs this program.

    Raises NotApplicable if the machine is an image without our package.
    """
    installed = VENV / "bin/python"
    if machine.has(installed):
        return str(installed)
    if machine.root != LIVE_ROOT:
        raise NotApplicable(f"there is no {str(installed)!r}")
    return sys.executable


def isolation(python: str) -> tuple[str, ...]:
    """The options that keep a Python from importing from the current folder, PYTHONPATH and the user's own packages.

    Where this program itself is one of the user's own packages (pip install --user), those are kept.
    """
    is_users = python == sys.executable and Path(__file__).is_relative_to(site.getusersitepackages())
    if not is_users:
        return ("-I",)
    return ("-P",) if sys.version_info >= (3, 11) else ()
