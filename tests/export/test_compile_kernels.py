"""Compiling the kernels without a GPU: the result is byte for byte what is shipped, and errors carry the compiler's log."""

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from export.compile_kernels import BOARDS, compile_kernels
from handmap.engines.crop_kernel import FACTS, FOLDER, SOURCE, KernelFacts
from handmap.files.atomic import new_folder
from handmap.types.errors import DependencyError, Fatal

ROOT = Path(__file__).resolve().parents[2]
WANTED = ROOT / "export" / "kernel_compilers.txt"


@pytest.fixture(scope="module")
def compilers() -> Path:
    """NVIDIA's compilers, downloaded once as `make kernels` does."""
    folder = ROOT / ".cache" / "kernel-compilers"
    if (folder / WANTED.name).exists() and (folder / WANTED.name).read_bytes() == WANTED.read_bytes():
        return folder
    with new_folder(folder) as fresh:
        install = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            str(fresh),
            "-r",
            str(WANTED),
        ]
        done = subprocess.run(install, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"the compilers cannot be downloaded: {done.stderr.strip().splitlines()[-1]}")
        shutil.copy(WANTED, fresh)
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder that contains only the kernel's source."""
    shutil.copy(FOLDER / SOURCE, tmp_path)
    return tmp_path


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the shipped cubins were made by the compilers for x86-64")
def test_the_shipped_cubins_match_the_source(compilers: Path, source: Path) -> None:
    facts = compile_kernels(compilers, source)

    assert facts == msgspec.json.decode((FOLDER / FACTS).read_bytes(), type=KernelFacts)
    made = {path.name: path.read_bytes() for path in source.iterdir()}
    shipped = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    assert {name for name in made if made[name] != shipped.get(name)} == set()
    assert set(made) == set(shipped)


def test_a_compile_error_carries_the_log_and_writes_nothing(compilers: Path, source: Path) -> None:
    text = (source / SOURCE).read_text()
    (source / SOURCE).write_text(
        text.replace("const Hand hand = hands[blockIdx.x];", "const Hand hand = hands[blockIdx.x]")
    )

    with pytest.raises(
        Fatal,
        match=r"(?s)kernel 'crop.cu': NVRTC 12.6 could not compile it for sm_87 .*crop\.cu\(\d+\): error: expected a \";\"",
    ):
        compile_kernels(compilers, source)

    assert [path.name for path in source.iterdir()] == [SOURCE]


def test_a_missing_compiler_is_named_and_writes_nothing(source: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = tmp_path_factory.mktemp("empty")

    with pytest.raises(DependencyError, match=BOARDS[0].library):
        compile_kernels(empty, source)

    assert [path.name for path in source.iterdir()] == [SOURCE]
