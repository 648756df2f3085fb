"""`handmap` as a library: what is public, documented, and cheap to import."""

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

import handmap
from tests.support.processes import ROOT


@pytest.mark.parametrize("name", handmap.__all__)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(handmap, name)

    assert value is getattr(import_module(handmap._HOMES[name]), name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value)
    assert f"`{name}`" in (ROOT / "docs" / "library.md").read_text()


def test_the_names_that_are_imported_late_are_the_public_ones() -> None:
    assert sorted(handmap._HOMES) == sorted(handmap.__all__)
    with pytest.raises(AttributeError, match="no attribute 'follow'"):
        handmap.follow  # noqa: B018


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, handmap; print([name for name in sys.modules if name.startswith(('handmap.', 'numpy', 'msgspec'))])"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
