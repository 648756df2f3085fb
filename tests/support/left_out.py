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


def this_interpreter() -> Interpreter:
    """The one that runs this."""
    return Interpreter(sys.version_info[:2], find_spec("torch") is not None)


def has_tests(path: Path) -> bool:
    """Whether a file or folder is one of tests, and not of what they use."""
    return path.match("test_*.py") or any(path.rglob("test_*.py"))


def last_line(interpreter: Interpreter, left_out: Collection[Path], is_passed: bool) -> str:
    """One sentence: the tests that were left out, and why."""
    python = f"Python {interpreter.version[0]}.{interpreter.version[1]}"
    if interpreter.is_boards_only:
        names, why = f"all but {', '.join(sorted(BOARD))}", f"{python} runs what the boards run; the rest needs 3.11"
    else:
        names = ", ".join(sorted({path.relative_to(TESTS).parts[0] for path in left_out}))
        why = f"they need torch; `make setup` found no build of it for CPUs and {python}"
    return f"left out: {names} ({why}){'; everything else passed' if is_passed else ''}"
