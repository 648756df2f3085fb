"""Compiles the crop kernel for the boards, without a GPU, and records the hashes that tie the cubins to their source.

`make kernels` runs it with the compilers listed in kernel_compilers.txt.
"""

import hashlib
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from handmap.engines.crop_kernel import FACTS, FOLDER, MAX_KERNEL_BYTES, OPTIONS, SOURCE, Cubin, KernelFacts
from handmap.files.atomic import write_file
from handmap.files.reading import encode_json, read_bytes

from .nvrtc import Nvrtc


@dataclass(frozen=True)
class Board:
    """A GPU architecture, and the path of its NVRTC in the folder of compilers."""

    architecture: str
    library: str


BOARDS: Final = (
    Board("sm_87", "nvidia/cuda_nvrtc/lib/libnvrtc.so.12"),  # Orin; JetPack 6 has CUDA 12.6
    Board("sm_110", "nvidia/cu13/lib/libnvrtc.so.13"),  # Thor; JetPack 7.0 has CUDA 13.0
)


def compile_kernels(compilers: Path, folder: Path = FOLDER) -> KernelFacts:
    """Writes a cubin for each board next to the source in `folder`, then the file of hashes that makes them valid.

    Raises DependencyError if a compiler is missing from the folder `compilers`, Fatal with its log if it rejects the source.
    """
    source = read_bytes(folder / SOURCE, MAX_KERNEL_BYTES)
    cubins: dict[str, Cubin] = {}
    contents: dict[str, bytes] = {}
    for board in BOARDS:
        name = f"crop.{board.architecture}.cubin"
        # One process for each: two NVRTC versions in one process, next to other NVIDIA libraries, can crash it.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            contents[name], version = alone.submit(_compile, compilers / board.library, source, board).result()
        cubins[board.architecture] = Cubin(name, hashlib.sha256(contents[name]).hexdigest(), version)
    facts = KernelFacts(hashlib.sha256(source).hexdigest(), OPTIONS, cubins)
    for name, content in contents.items():
        write_file(folder / name, content)
    write_file(folder / FACTS, encode_json(facts))
    return facts


def _compile(library: Path, source: bytes, board: Board) -> tuple[bytes, str]:
    """The cubin for a board, and the version of the compiler that made it."""
    nvrtc = Nvrtc(library)
    return nvrtc.compile(source, SOURCE, board.architecture, OPTIONS), nvrtc.version


if __name__ == "__main__":
    compile_kernels(Path(sys.argv[1]))
