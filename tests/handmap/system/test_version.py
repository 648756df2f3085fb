"""The version: ordered as releases follow one another, and never silent about files that no commit has."""

import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.version import Version

from handmap import __version__
from handmap.system.version import BASE, WRITTEN, debian_version, version_of


def git(folder: Path, *words: str) -> str:
    author = ["-c", "user.name=a", "-c", "user.email=a@b.invalid"]
    done = subprocess.run(["git", "-C", folder, *author, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, text: str) -> str:
    (folder / "handmap/module.py").write_text(text)
    git(folder, "add", ".")
    git(folder, "commit", "-qm", text)
    return "g" + git(folder, "rev-parse", "--short=10", "HEAD")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "handmap").mkdir()
    git(tmp_path, "init", "-q")
    return tmp_path


def test_builds_up_to_a_release_and_after_it_follow_one_another(checkout: Path) -> None:
    first = commit(checkout, "1")
    found = [version_of(checkout)]
    assert found == [f"{BASE}.dev1+{first}"]

    git(checkout, "tag", "v0.1.0")
    commit(checkout, "2")
    third = commit(checkout, "3")
    assert version_of(checkout) == f"{BASE}.dev2+{third}"
    found.append(version_of(checkout))

    git(checkout, "tag", "a-tag-of-someone")
    git(checkout, "tag", f"v{BASE}")
    assert version_of(checkout) == BASE
    found.append(BASE)

    fourth = commit(checkout, "4")
    assert version_of(checkout) == f"{BASE}.post1+{fourth}"
    found.append(version_of(checkout))
    assert version_of(checkout, "0.3.0") == f"0.3.0.dev1+{fourth}"
    found.append(version_of(checkout, "0.3.0"))

    assert [str(Version(one)) for one in found] == found
    for older, newer in pairwise(found):
        assert Version(older) < Version(newer)
        if shutil.which("dpkg"):
            pair = (f"{debian_version(older)}-1.debian12", "lt", f"{debian_version(newer)}-1.debian12")
            subprocess.run(["dpkg", "--compare-versions", *pair], check=True)


@pytest.mark.parametrize("change", ["changed", "new", "staged", "deleted"])
def test_files_that_differ_from_the_commit_are_marked(checkout: Path, change: str) -> None:
    commit(checkout, "1")
    git(checkout, "tag", f"v{BASE}")
    file = checkout / "handmap/module.py"
    if change == "changed":
        file.write_text("2")
    elif change == "new":
        (checkout / "handmap/other.py").touch()
    elif change == "staged":
        file.write_text("2")
        git(checkout, "add", ".")
    else:
        file.unlink()

    assert version_of(checkout).startswith(f"{BASE}.post0+g") and version_of(checkout).endswith(".dirty")


def test_what_the_build_wrote_comes_before_git(checkout: Path) -> None:
    commit(checkout, "1")
    (checkout / WRITTEN).parent.mkdir(parents=True)
    (checkout / WRITTEN).write_text("7.7.7\n")

    assert version_of(checkout) == "7.7.7"


def test_without_git_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert version_of(tmp_path) == f"{BASE}.dev0+unknown"

    git(tmp_path, "init", "-q")
    assert version_of(tmp_path) == f"{BASE}.dev0+unknown", "there is no commit yet"

    (tmp_path / "handmap").mkdir()
    commit(tmp_path, "1")
    monkeypatch.setenv("PATH", "")
    assert version_of(tmp_path) == f"{BASE}.dev0+unknown"


def test_a_hook_of_another_repository_does_not_mislead(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = commit(checkout, "1")
    monkeypatch.setenv("GIT_DIR", str(checkout / "elsewhere"))

    assert version_of(checkout) == f"{BASE}.dev1+{first}"


def test_the_command_says_it() -> None:
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "handmap", "--version"]
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root, env=environment)

    # Another test may leave a file for a moment.
    assert done.stdout.strip().removesuffix(".dirty") == f"handmap, version {__version__.removesuffix('.dirty')}"
    assert Version(__version__).base_version == BASE
