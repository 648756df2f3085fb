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


def compile_program(source: Path, out: Path, compiler: str, *options: str) -> Path:
    """The program of a C or C++ file, without a warning; the test is skipped where this compiler is missing."""
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler} on PATH; on Debian .ci/compilers installs it")
    command = [compiler, *options, "-Wall", "-Wextra", "-Werror", "-pedantic", str(source), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    if "libclang_rt" in done.stderr:
        pytest.skip("needs the sanitizers of clang; on Debian .ci/compilers installs them")
    assert done.returncode == 0, done.stderr
    return out
