"""Small C libraries that tests load, made on the spot by the machine's compiler."""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent


def compile_library(source: str, out: Path) -> Path:
    """The shared library of a C file of tests/support, at `out`; the test is skipped where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler on PATH")
    command = [compiler, "-shared", "-fPIC", "-Wall", "-Werror", f"-Wl,-soname,{out.name}", "-o", str(out)]
    subprocess.run([*command, str(SOURCES / source)], check=True)
    return out
