"""What holds for every test: no file of ours is loaded twice under two names, and nothing is left out in silence."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.left_out import has_tests, last_line, this_interpreter
from tests.support.one_module import held_twice, import_by_folder

LEFT_OUT = pytest.StashKey[set[Path]]()
STATUS = pytest.StashKey[int]()
import_by_folder()


def pytest_configure(config: pytest.Config) -> None:
    """Nothing is left out yet."""
    config.stash[LEFT_OUT] = set()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out what this Python cannot run, and remembers it."""
    if this_interpreter().can_run(collection_path):
        return None
    if has_tests(collection_path):
        config.stash[LEFT_OUT].add(collection_path)
    return True


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remembers how it ended."""
    session.config.stash[STATUS] = exitstatus


def pytest_unconfigure(config: pytest.Config) -> None:
    """Says last what was left out, and that the rest passed, if all of it was asked for and did."""
    if left_out := config.stash[LEFT_OUT]:
        is_all = config.args_source is pytest.Config.ArgsSource.TESTPATHS
        is_passed = is_all and config.stash.get(STATUS, 1) == pytest.ExitCode.OK
        print(last_line(this_interpreter(), left_out, is_passed))  # noqa: T201


@pytest.fixture(scope="session", autouse=True)
def state_folder_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Daemons under test write their snapshots there, not into the user's state folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.delenv("STATE_DIRECTORY", raising=False)
        yield


@pytest.fixture(scope="session")
def reported() -> set[str]:
    """The modules that a test has failed for already."""
    return set()


@pytest.fixture(autouse=True)
def one_module_for_each_file(reported: set[str]) -> Iterator[None]:
    """Fails the test that loaded a part's module by the second of its names as well."""
    yield
    new = sorted(set(held_twice(sys.modules)) - reported)
    reported.update(new)
    assert new == [], (
        f"loaded under the folder's name and under handmap's: {', '.join(new)}; import them by the folder's"
    )
