"""Typed access to numba: functions compiled to machine code that release the interpreter lock, cached between runs.

The cache only notices changes to a function's own file, so a compiled function may only call compiled functions in the same file.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeAlias, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")

IntArray: TypeAlias = NDArray[np.int64]


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """`function` compiled on its first call for the types it is called with; other Python threads run meanwhile."""
    # numba has no type stubs.
    return cast(Callable[P, R], numba.njit(nogil=True, cache=_HAS_CACHE)(function))


def _prepare_cache() -> bool:
    """Sets a numba cache folder named after this package; returns False if none is writable.

    Beside the sources, as numba has it, `training` in the checkout and `handmap.training` installed from it would share one,
    whose entries import the package by the name of whoever wrote them first. And an installed package may be read-only.
    """
    home = (
        os.environ.get("NUMBA_CACHE_DIR")
        or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "handmap"
    )
    folder = Path(home, "numba", __package__ or "training")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]  # numba sets its settings at run time
    return os.access(folder, os.W_OK)


_HAS_CACHE = _prepare_cache()
