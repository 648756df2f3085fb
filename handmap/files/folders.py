"""Folders of whole things, of which the oldest go: their size, and removal of which no half is ever visible."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from handmap.files.atomic import SUFFIX


def folder_bytes(path: Path) -> int:
    """Bytes of all files in a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for file in path.rglob("*"):
        with suppress(OSError):
            total += file.lstat().st_size
    return total


def remove_folder(path: Path) -> None:
    """Removes a folder: it first takes a temporary name, which `atomic.sweep` clears away if this process is killed.

    Raises OSError if it cannot.
    """
    hidden = Path(tempfile.mkdtemp(SUFFIX, f".{path.name}.", path.parent))
    path.rename(hidden / path.name)
    shutil.rmtree(hidden, ignore_errors=True)


def copy_folder(source: Path, into: Path) -> None:
    """Copies the files of a folder into another one that is there.

    Raises OSError if it cannot.
    """
    shutil.copytree(source, into, dirs_exist_ok=True)
