"""Arrays that are written on disk piece by piece, because all of them may be more than fits into memory."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike


def create_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> "np.memmap[Any, np.dtype[Any]]":
    """A new .npy file of zeros, memory-mapped to be written; all of its disk space is reserved.

    Without that, a full disk kills the process (SIGBUS) at the first write to a page that finds no room.
    Raises OSError if there is not enough space.
    """
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    return array
