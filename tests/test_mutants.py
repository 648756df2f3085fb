"""What is changed in a file, and that a change is noticed or not."""

from pathlib import Path

import pytest

from tests.mutants import find_mutants, survives

SOURCE = """
import functools
LIMIT = 8

@functools.lru_cache(maxsize=4)
def clip(value: float, low: float = 0.0) -> float:
    "Not above the limit."
    if value > LIMIT:
        value = LIMIT
    return max(value, low)
"""


@pytest.fixture(scope="module")
def changes() -> dict[str, str]:
    return {mutant.change: mutant.text for mutant in find_mutants("clip.py", SOURCE)}


def test_numbers_comparisons_branches_statements_and_arguments_are_changed(changes: dict[str, str]) -> None:
    assert set(changes) == {
        "times 4: 8", "by 4: 8", "plus 1: 0.0", "flipped: value > LIMIT", "always: if value > LIMIT:",
        "never: if value > LIMIT:", "deleted: value = LIMIT", "last argument dropped: max(value, low)",
    }  # fmt: skip
    assert "LIMIT = 32" in changes["times 4: 8"] and "LIMIT = 2\n" in changes["by 4: 8"]
    assert "value <= LIMIT" in changes["flipped: value > LIMIT"]
    assert "        pass\n" in changes["deleted: value = LIMIT"]
    assert "max(value)" in changes["last argument dropped: max(value, low)"]


def test_each_mutant_differs_in_one_place_and_can_be_read(changes: dict[str, str]) -> None:
    assert len(set(changes.values())) == len(changes)
    for text in changes.values():
        compile(text, "clip.py", "exec")


def test_a_mutant_survives_where_no_test_sees_it(tmp_path: Path) -> None:
    (tmp_path / "clip.py").write_text(SOURCE)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_clip.py").write_text(
        "import clip\n\ndef test_it():\n    assert clip.clip(9, 0) == 8 and clip.clip(7, 0) == 7\n"
    )
    (tmp_path / "conftest.py").write_text("")

    alive = {mutant.change for mutant in find_mutants("clip.py", SOURCE) if survives(mutant, tmp_path, ["tests"])}

    assert alive == {"plus 1: 0.0"}
    assert (tmp_path / "clip.py").read_text() == SOURCE
