"""What holds for every test: no file of ours is loaded twice under two names."""

import sys
from collections.abc import Iterator

import pytest

from tests.support.one_module import held_twice, import_by_folder

import_by_folder()


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
