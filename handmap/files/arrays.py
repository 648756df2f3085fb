"""Reads the arrays of an .npz within bounds: a few bytes of a zip archive can unpack to any size."""

import io
import zipfile
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


class NotArrays(ValueError):
    """Bytes that are no archive with the wanted arrays; its text says why."""


def read_arrays(content: bytes, names: tuple[str, ...], max_bytes: int) -> dict[str, NDArray[Any]]:
    """The named arrays of an .npz; nothing is unpacked if all of its arrays together have more than max_bytes.

    Raises NotArrays.
    """
    try:
        refuse_bomb(content, max_bytes)
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}
    # What zipfile, zlib and NumPy raise for damaged, encrypted or foreign archives; MemoryError for a made-up shape.
    except (OSError, EOFError, ValueError, KeyError, RuntimeError, MemoryError, TypeError, OverflowError) as error:
        raise NotArrays(str(error) or type(error).__name__) from error
    except (zipfile.BadZipFile, zlib.error, SyntaxError) as error:
        raise NotArrays(str(error)) from error


def refuse_bomb(content: bytes, max_bytes: int) -> None:
    """Raises ValueError if the files in a zip archive unpack to more than max_bytes, BadZipFile if it is none."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > max_bytes:
        raise ValueError(f"it unpacks to {unpacked / 1e6:.0f} MB, wanted at most {max_bytes / 1e6:.0f}")
