"""What the documents point at exists, and they speak of nothing outside the project."""

import functools
import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GREETING = sorted(ROOT.glob("*.md"))
DOCUMENTS = sorted([*GREETING, *(ROOT / "docs").rglob("*.md")])
BESIDE_DATA = sorted(path for part in ("models", "training") for path in (ROOT / part).rglob("*.md"))
# Generated pages have table rows as long as the comments and messages that they are made from.
WRITTEN_BY_HAND = [
    path for path in (*DOCUMENTS, *BESIDE_DATA) if path.name not in ("configuration.md", "protocol_dump.md")
]
URL = re.compile(r"https?://[^\s)>]+")
LINK = re.compile(r"\[[^\]]+\]\((?!https?:)([^)#]+)[^)]*\)")
VERB = re.compile(r"`handmap ([a-z-]+)[ `]")
TARGET = re.compile(r"\bmake ([a-z][a-z0-9-]*)`")
PARTS = "handmap|runtime|training|export|calibration|clients|flash"
SOURCE = re.compile(rf"(?<![\w/.-])(?:{PARTS}|tests|docs|systemd|models)/[\w./-]+\.(?:py|cu|yaml|md|txt)\b")
SOURCE_NAME = re.compile(r"`(\w+\.py)`")
DOTTED = re.compile(rf"(?:`|-m )((?:{PARTS}|tests|docs)(?:\.\w+)+)(?=[` ])")
NO_MODULE = re.compile(
    r"\.(?:json|pt2|target|rules|service|md|yaml)$|^handmap\.(?:cameras|commands|datasets|heads|layouts)$"
)
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


@pytest.mark.parametrize("path", [*DOCUMENTS, *BESIDE_DATA], ids=lambda path: str(path.relative_to(ROOT)))
def test_source_files_that_are_named_exist(path: Path) -> None:
    text = path.read_text()
    missing = [name for name in SOURCE.findall(text) if not (ROOT / name).exists()]

    assert missing == []
    assert [name for name in SOURCE_NAME.findall(text) if name not in source_names()] == []


# The changelog also names what is gone.
@pytest.mark.parametrize(
    "path",
    [path for path in (*DOCUMENTS, *BESIDE_DATA) if path.name != "CHANGELOG.md"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_modules_and_their_members_that_are_named_exist(path: Path) -> None:
    named = [name for name in DOTTED.findall(path.read_text()) if not NO_MODULE.search(name)]

    assert [name for name in named if not is_in_code(name)] == []


@pytest.mark.parametrize(
    ("name", "exists"),
    [
        ("handmap.tracking.tracker", True),
        ("handmap.tracking.tracker.track_hands", True),
        ("handmap.read_bundle", True),
        ("handmap.runtime.daemon", True),
        ("handmap.follow", False),
        ("training.side_branch.SideBranch", False),
        ("training.network.handedness_branch.SideBranch", False),
    ],
)
def test_a_name_is_looked_up_in_the_checkout(name: str, exists: bool) -> None:
    assert is_in_code(name) == exists


@functools.cache
def source_names() -> frozenset[str]:
    """The names of all Python files in the checkout's own folders."""
    folders = (*PARTS.split("|"), "tests", "docs")
    return frozenset(path.name for folder in folders for path in (ROOT / folder).rglob("*.py"))


def is_in_code(dotted: str) -> bool:
    """Whether a module, or a name written in a module, has this dotted name; parts may be named as once installed."""
    words = dotted.split(".")
    if words[0] == "handmap" and words[1] in PARTS.split("|"):
        words = words[1:]
    for count in range(len(words), 0, -1):
        place = ROOT.joinpath(*words[:count])
        module = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if count == len(words) and (place.is_dir() or module.exists()):
            return True
        if module.exists():
            return re.search(rf"\b{words[count]}\b", module.read_text()) is not None
    return False


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
