"""The machine that `handmap doctor` examines: the running one, or an offline root file system.

Everything the checks know about it comes through here.
"""

import os
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LIVE_ROOT: Final = Path("/")
PROGRAM_FOLDERS: Final = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
ANSWER_S: Final = 20.0
KILLED_S: Final = 1.0
MAX_LINKS: Final = 40  # as many as the kernel follows


class NotApplicable(Exception):
    """A check does not apply to this machine; the message is the reason."""


@dataclass(frozen=True)
class Answer:
    """The output of a program on the machine, and its exit code."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Machine:
    """A machine by its root folder. Paths are those on the machine itself; programs run only if the machine is running."""

    root: Path = LIVE_ROOT
    is_running: bool = True

    def path(self, name: str | Path) -> Path:
        """A path of the machine as a path here, with links resolved as on the machine; one below the root already is kept.

        Raises OSError if links form a loop.
        """
        path = Path(name)
        if self.root == LIVE_ROOT:
            return path
        left = [*reversed((path.relative_to(self.root) if path.is_relative_to(self.root) else path).parts)]
        here, links = self.root, 0
        while left:
            part = left.pop()
            if part in ("/", ".."):
                here = self.root if part == "/" or here == self.root else here.parent
            elif (here / part).is_symlink():
                links += 1
                if links > MAX_LINKS:
                    raise OSError(f"too many links at {str(name)!r}")
                left += reversed((here / part).readlink().parts)
            else:
                here = here / part
        return here

    def name(self, path: Path) -> Path:
        """The machine's own name for a path below its root here."""
        return LIVE_ROOT / path.relative_to(self.root) if path.is_relative_to(self.root) else path

    def text(self, name: str | Path) -> str | None:
        """The text of a file, stripped of surrounding white space; None if it is missing or reading fails.

        Raises PermissionError if this user cannot read it.
        """
        try:
            return self.path(name).read_text(encoding="utf-8", errors="replace").strip("\0 \n\t")
        except PermissionError:
            raise
        except OSError:  # sysfs too: sensors of units that are powered down
            return None

    def stat(self, name: str | Path) -> os.stat_result | None:
        """The stat of a file or folder; None if it does not exist.

        Raises PermissionError if this user has no access.
        """
        try:
            return self.path(name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def has(self, name: str | Path) -> bool:
        """Whether the file or folder exists."""
        return self.stat(name) is not None

    def is_folder(self, name: str | Path) -> bool:
        """Whether the folder exists."""
        found = self.stat(name)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def link(self, name: str | Path) -> str | None:
        """The target of a link; None for anything else."""
        path = Path(name)
        try:
            return os.readlink(self.path(path.parent) / path.name)
        except OSError:
            return None

    def entries(self, folder: str | Path, pattern: str = "*") -> list[Path]:
        """The machine's paths of the matching entries of a folder, sorted."""
        here = self.path(folder)
        return [Path(folder) / path.relative_to(here) for path in sorted(here.glob(pattern))]

    def program(self, name: str) -> Path | None:
        """The path of a program on the machine; None if it is missing."""
        folders = (self.path(folder) for folder in PROGRAM_FOLDERS)
        return next((folder / name for folder in folders if (folder / name).exists()), None)

    def run(self, name: str, *arguments: str, environment: dict[str, str] | None = None) -> Answer:
        """Runs a program of the machine, given by name or path, and returns its answer.

        Raises NotApplicable if the machine is not running or lacks the program.
        """
        if not self.is_running:
            raise NotApplicable("this machine is not running")
        program = self.path(name) if "/" in name else self.program(name)
        if program is None:
            raise NotApplicable(f"this machine has no {name}")
        process = subprocess.Popen(
            [program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            errors="replace", env={**os.environ, "LC_ALL": "C", **(environment or {})},
        )  # fmt: skip
        try:
            out, err = process.communicate(timeout=ANSWER_S)
        except subprocess.TimeoutExpired:
            process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=KILLED_S)  # a process hung in a driver survives even that, and is abandoned
            return Answer(124, "", f"{name} did not answer within {ANSWER_S:.0f} s")  # the exit code of timeout(1)
        return Answer(process.returncode, out.strip(), err.strip())
