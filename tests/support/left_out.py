"""What this Python cannot test: parts whose libraries it does not have. Nothing else is left out in silence."""

import sys
from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
BOARD = frozenset({"handmap", "runtime", "clients"})
WITH_TORCH = frozenset({"training", "export", "calibration"})


@dataclass(frozen=True)
class Interpreter:
    """What decides which tests can run."""

    version: tuple[int, int]
    has_torch: bool

    @property
    def is_boards_only(self) -> bool:
        """Whether only what runs on boards supports it."""
        return self.version < (3, 11)

    def can_run(self, path: Path) -> bool:
        """Whether it can run a file or folder of tests; TESTS itself is one that it can."""
        if path == TESTS or TESTS not in path.parents:
            return True
        first = path.relative_to(TESTS).parts[0]
        if self.is_boards_only:
            return first in BOARD
        return self.has_torch or first not in WITH_TORCH

    def why_not(self) -> str:
        """Why it cannot run all."""
        name = ".".join(map(str, self.version))
        if self.is_boards_only:
            return f"Python {name} runs only what the boards run; the rest needs 3.11"
        return f"they need torch, and `make setup` found no build of it for CPUs and Python {name}"


def this_interpreter() -> Interpreter:
    """The one that runs this."""
    return Interpreter(sys.version_info[:2], find_spec("torch") is not None)


def last_line(interpreter: Interpreter, left_out: Collection[Path], is_passed: bool) -> str:
    """One sentence: the tests that were left out, and why."""
    names = ", ".join(sorted(str(path.relative_to(TESTS.parent)) for path in left_out))
    rest = "; everything else passed" if is_passed else ""
    return f"left out: {names} ({interpreter.why_not()}){rest}"
