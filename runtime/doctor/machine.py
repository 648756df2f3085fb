"""The machine that `handmap doctor` looks at: the running one, or a root file system that does not run. All that the checks know
of it comes through here.
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
    """A check has nothing to say about this machine, for this reason."""


@dataclass(frozen=True)
class Answer:
    """What a program of the machine said, and its exit code."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Machine:
    """A machine by its root folder. Paths are given as the machine itself names them; programs run only where it runs."""

    root: Path = LIVE_ROOT
    is_running: bool = True

    def path(self, name: str | Path) -> Path:
        """Where a path of the machine lies here, its links followed as the machine would; one below the root is taken as it is.

        Raises OSError where links go in a circle.
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
        """How the machine itself names a path that lies below its root here."""
        return LIVE_ROOT / path.relative_to(self.root) if path.is_relative_to(self.root) else path

    def text(self, name: str | Path) -> str | None:
        """What a file says, without white space around it; None where it is not there or answers with an error.

        Raises PermissionError where this user may not read it.
        """
        try:
            return self.path(name).read_text(encoding="utf-8", errors="replace").strip("\0 \n\t")
        except PermissionError:
            raise
        except OSError:  # of sysfs too: sensors of units that sleep
            return None

    def stat(self, name: str | Path) -> os.stat_result | None:
        """The facts of a file or folder, None where there is none.

        Raises PermissionError where this user may not look.
        """
        try:
            return self.path(name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def has(self, name: str | Path) -> bool:
        """Whether there is such a file or folder."""
        return self.stat(name) is not None

    def is_folder(self, name: str | Path) -> bool:
        """Whether there is such a folder."""
        found = self.stat(name)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def link(self, name: str | Path) -> str | None:
        """Where a link points, None for all else."""
        path = Path(name)
        try:
            return os.readlink(self.path(path.parent) / path.name)
        except OSError:
            return None

    def entries(self, folder: str | Path, pattern: str = "*") -> list[Path]:
        """The machine's names of what matches in a folder, sorted."""
        here = self.path(folder)
        return [Path(folder) / path.relative_to(here) for path in sorted(here.glob(pattern))]

    def program(self, name: str) -> Path | None:
        """Where the machine has a program."""
        folders = (self.path(folder) for folder in PROGRAM_FOLDERS)
        return next((folder / name for folder in folders if (folder / name).exists()), None)

    def run(self, name: str, *arguments: str, environment: dict[str, str] | None = None) -> Answer:
        """What a program of the machine answers: by its name, or by its path.

        Raises NotApplicable where the machine does not run, or lacks the program.
        """
        if not self.is_running:
            raise NotApplicable("this machine does not run")
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
                process.communicate(timeout=KILLED_S)  # what hangs in a driver outlives that, and is left behind
            return Answer(124, "", f"{name} did not answer within {ANSWER_S:.0f} s")  # as timeout(1) says it
        return Answer(process.returncode, out.strip(), err.strip())
