"""What training keeps of labeled data on disk: arrays made once of each data set, and again when a file of it changes."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handmap.files.atomic import all_names, make_folder, new_folder
from handmap.recording.datasets import Dataset, open_dataset
from handmap.types.errors import DatasetError
from handmap.types.joints import HAND21


def open_kept(
    data: str, folder: Path, names: Sequence[str], kind: str, write: Callable[[str, Path], None]
) -> list[NDArray[Any]]:
    """The arrays of these names, memory-mapped; `write(data, folder)` makes their .npy files unless they are there already.

    Raises DatasetError if they cannot be written.
    """
    path = folder / fingerprint(data, kind)
    if not path.is_dir():
        try:
            make_folder(folder)
            # Another process on the same data may be first; what it writes is the same.
            with new_folder(path, all_names) as partial:
                write(data, partial)
        except OSError as error:
            raise DatasetError(
                f"data set {data!r}: its training samples cannot be written to {str(path)!r} ({error.strerror}); free some "
                "disk space or set `labeled_cache` to another folder"
            ) from error
    return [np.load(path / f"{name}.npy", mmap_mode="r") for name in names]


def open_hand21(data: str) -> Dataset:
    """The data set or labeled recording of this name. Raises DatasetError if its joints are not hand21."""
    dataset = open_dataset(data)
    if dataset.joint_names != HAND21:
        raise DatasetError(f"data set {data!r}: training needs hand21 joints, found {dataset.joint_names}; map them")
    return dataset


def nothing_left(data: str, frames: int, wanted: str) -> DatasetError:
    """What to raise where no frame has what is wanted of it."""
    return DatasetError(f"data set {data!r}: none of its {frames} frames has {wanted}; name another one")


def fingerprint(data: str, kind: str) -> str:
    """A name for what is kept of a data set in files of this kind.

    It changes with the data set's name, and with name, size or time of any file under its path.
    """
    digest = hashlib.sha256(f"{kind} {data}".encode())
    for place in _paths_in(data):
        for entry in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if entry.is_file():
                facts = entry.stat()
                digest.update(f"{entry.relative_to(place)} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _paths_in(data: str) -> Iterator[Path]:
    """The files and folders that a name mentions."""
    whole = Path(data)
    if whole.exists():
        yield whole
        return
    for part in data.partition(":")[2].split(","):
        place = Path(part.partition("=")[2] or part)
        if part and place.exists():
            yield place
