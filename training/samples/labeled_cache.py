"""What training keeps of labeled data on disk: arrays made once of each data set, and again when a file of it changes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handmap.files.atomic import all_names, make_folder, new_folder
from handmap.recording.datasets import Dataset, LabeledFrame, open_dataset
from handmap.types.errors import DatasetError, FileError
from handmap.types.joints import HAND21

from .named_data import fingerprint


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
                f"data set {data!r}: its training samples cannot be written to {str(path)!r} ({error.strerror or error}); free some "
                "disk space or set `labeled_cache` to another folder"
            ) from error
    return [np.load(path / f"{name}.npy", mmap_mode="r") for name in names]


def open_hand21(data: str) -> Dataset:
    """The data set or labeled recording of this name. Raises DatasetError if it cannot be read, or its joints are not hand21."""
    with _as_unreadable(data):
        dataset = open_dataset(data)
    if dataset.joint_names != HAND21:
        raise DatasetError(f"data set {data!r}: training needs hand21 joints, found {dataset.joint_names}; map them")
    return dataset


def frames_of(data: str, dataset: Dataset) -> Iterator[LabeledFrame]:
    """The frames of a data set of this name. Raises DatasetError if a file of it cannot be read."""
    with _as_unreadable(data):  # an error in what is done with a frame is not raised in here
        yield from dataset


def nothing_left(data: str, frames: int, wanted: str) -> DatasetError:
    """What to raise where no frame has what is wanted of it."""
    return DatasetError(f"data set {data!r}: found no frame with {wanted}, of {frames}; name another one")


@contextmanager
def _as_unreadable(data: str) -> Iterator[None]:
    """Gives an OSError of the block, which only reads, a sentence that names the data set."""
    try:
        yield
    except FileError as error:
        raise DatasetError(f"data set {data!r}: {error}") from error
    except OSError as error:
        place = data if error.filename is None else str(error.filename)
        raise DatasetError(
            f"data set {data!r}: {place!r} cannot be read ({error.strerror or error}); correct its permissions or copy it again"
        ) from error
