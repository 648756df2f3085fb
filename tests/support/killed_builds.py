"""Builds the same engine again and again, each time in a new process that kills itself a little later.

`python -m tests.support.killed_builds BUNDLE FOLDER`: build number n, in the cache FOLDER/n, receives SIGKILL before the
n-th time that it touches a file below its cache, or asks systemd for time (from inside the builder). The first build that
lives to its end ends it. Prints how many were killed.
"""

import os
import signal
import sys
from pathlib import Path

from export.engine_request import BuildRequest
from export.to_engine import build_engine, open_backend
from handmap.system.notify import Notifier

MAX_BUILDS = 200


class Fuse:
    """Kills this process at the n-th call that concerns the cache."""

    def __init__(self, calls: int, cache_dir: Path) -> None:
        self._left = calls
        self._folder = str(cache_dir)

    def burn(self) -> None:
        """One moment has come."""
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, event: str, arguments: tuple[object, ...]) -> None:
        """For sys.addaudithook: opening, making, listing, renaming, removing."""
        if any(
            self._folder in os.fsdecode(value) for value in arguments if isinstance(value, str | bytes | os.PathLike)
        ):
            self.burn()


class BurningNotifier(Notifier):
    """Called by the progress monitor, that is from inside the builder."""

    def __init__(self, fuse: Fuse) -> None:
        super().__init__(None)
        self._fuse = fuse

    def send(self, *states: str) -> None:
        """A moment in the middle of the build."""
        self._fuse.burn()


def main(bundle: Path, folder: Path) -> None:
    """Builds until one lives."""
    backend = open_backend("rtx")
    for number in range(1, MAX_BUILDS):
        child = os.fork()
        if child == 0:
            fuse = Fuse(number, folder / str(number))
            sys.addaudithook(fuse.audit)
            build_engine(BuildRequest(bundle, "fp32", 1, folder / str(number)), backend, BurningNotifier(fuse))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            print(number - 1)  # noqa: T201  # the result of this program
            return
        if status != -signal.SIGKILL:
            sys.exit(f"build {number} ended with {status}")
    sys.exit("no build lived to its end")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
