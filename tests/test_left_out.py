"""A Python that lacks a part's libraries runs the tests of the others, and says last what it left out."""

import subprocess
import sys

import pytest

from tests.support.left_out import TESTS, Interpreter, last_line
from tests.support.processes import ROOT

WITHOUT_TORCH = Interpreter((3, 13), has_torch=False)
BOARD = Interpreter((3, 10), has_torch=True)
COMPLETE = Interpreter((3, 11), has_torch=True)


@pytest.mark.parametrize(
    ("interpreter", "expected"),
    [
        (COMPLETE, ["clients", "export", "flash", "handmap", "test_docs.py", "training"]),
        (WITHOUT_TORCH, ["clients", "flash", "handmap", "test_docs.py"]),
        (BOARD, ["clients", "handmap"]),
    ],
)
def test_what_an_interpreter_can_run(interpreter: Interpreter, expected: list[str]) -> None:
    names = ["clients", "export", "flash", "handmap", "test_docs.py", "training"]

    assert [name for name in names if interpreter.can_run(TESTS / name)] == expected
    assert interpreter.can_run(TESTS / "handmap" / "export.py"), "the folder decides, not the name"
    assert interpreter.can_run(TESTS)


def test_the_last_line_claims_that_the_rest_passed_only_if_it_did() -> None:
    left_out = {TESTS / "training", TESTS / "export"}

    passed = last_line(WITHOUT_TORCH, left_out, is_passed=True)

    assert passed.startswith("left out: export, training (they need torch; ")
    assert "Python 3.13" in passed
    assert passed.endswith("; everything else passed")
    assert "passed" not in last_line(WITHOUT_TORCH, left_out, is_passed=False)
    assert last_line(BOARD, left_out, is_passed=True).startswith(
        "left out: all but clients, handmap, runtime (Python 3.10"
    )


def test_without_torch_the_other_tests_are_collected_and_the_last_line_names_the_rest() -> None:
    # None in sys.modules is how Python itself marks a module that must not be found.
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "import pytest; sys.exit(pytest.main(['--collect-only', '-q', '-p', 'no:cacheprovider']))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    collected, last = done.stdout.splitlines()[:-1], done.stdout.splitlines()[-1]
    assert last.startswith("left out: calibration, export, training (")
    assert any(line.startswith("tests/runtime/") for line in collected)
    assert not any(line.startswith("tests/training/") for line in collected)
