"""What the documents point at exists, and they speak of nothing outside the project."""

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GREETING = sorted(ROOT.glob("*.md"))
DOCUMENTS = sorted([*GREETING, *(ROOT / "docs").rglob("*.md")])
BESIDE_DATA = sorted(path for part in ("models", "training") for path in (ROOT / part).rglob("*.md"))
# docs/configuration.md is generated: its table rows are as long as the comments at the configuration's fields.
WRITTEN_BY_HAND = [path for path in (*DOCUMENTS, *BESIDE_DATA) if path.name != "configuration.md"]
URL = re.compile(r"https?://[^\s)>]+")
LINK = re.compile(r"\[[^\]]+\]\((?!https?:)([^)#]+)[^)]*\)")
VERB = re.compile(r"`handmap ([a-z-]+)[ `]")
TARGET = re.compile(r"\bmake ([a-z][a-z0-9-]*)`")
CONFIG = re.compile(r"configs/[a-z0-9_]+\.yaml")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    targets = LINK.findall(path.read_text())

    missing = [target for target in targets if not (path.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_configurations_that_are_named_exist(path: Path) -> None:
    missing = [name for name in CONFIG.findall(path.read_text()) if not (ROOT / name).exists()]

    assert missing == []


def test_the_readme_names_only_verbs_that_exist() -> None:
    known = {entry.name for entry in entry_points(group="handmap.commands")}

    assert set(VERB.findall((ROOT / "README.md").read_text())) <= known


@pytest.mark.parametrize("path", WRITTEN_BY_HAND, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_fit_120_columns_unless_a_url_makes_them_longer(path: Path) -> None:
    lines = [URL.sub("", line) for line in path.read_text().splitlines()]

    assert [line for line in lines if len(line) > 120] == []


def test_make_targets_that_are_named_exist() -> None:
    rules = re.findall(r"(?m)^([a-z0-9-]+):", (ROOT / "Makefile").read_text())
    named = {target for path in GREETING for target in TARGET.findall(path.read_text())}

    assert {"docs", "lint", "setup", "test"} <= named
    assert named <= set(rules)


def test_every_command_for_a_board_is_run_by_a_test_or_marked() -> None:
    marks = re.compile(r"needs a board|not in CI|same test|run by `(tests/[a-z_/]+\.py)`", re.IGNORECASE)
    unmarked, tests = [], []
    for section in re.split(r"\n#{2,3} ", (ROOT / "docs/jetson.md").read_text()):
        before = ""
        for part in section.split("\n\n"):
            is_code = all(line.startswith("    ") for line in part.splitlines())
            if is_code and not marks.search(before + part):
                unmarked.append(part)
            before += part
        tests += marks.findall(section)

    assert unmarked == []
    assert [name for name in tests if name and not (ROOT / name).exists()] == []
    assert "tests/flash/test_guide.py" in tests
