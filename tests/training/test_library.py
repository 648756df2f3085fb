"""`handmap.training` as a library: what is public, documented, and cheap to import."""

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

import training
from tests.support.processes import ROOT


@pytest.mark.parametrize("name", training.__all__)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(training, name)

    assert value is getattr(import_module(training._HOMES[name], "training"), name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value)
    section = (ROOT / "docs/training.md").read_text().split("\n## The library\n")[1].split("\n## ")[0]
    assert f"`{name}`" in section


def test_the_names_that_are_imported_late_are_the_public_ones() -> None:
    assert sorted(training._HOMES) == sorted(training.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        training.fit  # noqa: B018


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, training; print([name for name in sys.modules if name.startswith(('training.', 'torch', 'numpy', 'handmap'))])"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
