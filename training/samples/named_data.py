"""What the name of a data set refers to on disk, and whether two names mean the same data. What a name is: `recording.datasets`."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from handmap.recording.datasets import OPTION, is_dataset_name
from handmap.types.errors import DatasetError

INTRINSICS_FILE: Final = (
    "intrinsics.yaml"  # as in recording.png_folder, which needs a library that training does without
)


class NamedData(NamedTuple):
    """The parts of a name: its kind, what the kind opens, and the options, sorted."""

    kind: str
    which: str
    options: tuple[tuple[str, str], ...]

    @property
    def resolved(self) -> "NamedData":
        """The same with absolute paths, free of symbolic links: equal for two spellings of one name."""
        options = tuple((key, _resolved(value)) for key, value in self.options)
        return NamedData(self.kind, _resolved(self.which), options)


def parse_name(data: str) -> NamedData:
    """The parts of a data set's name as they are spelled.

    Raises DatasetError if nothing stands where the path should.
    """
    kind, which = "recording", data
    if is_dataset_name(data):
        kind, _, which = data.partition(":")
    options = []
    while found := OPTION.search(which):
        options.append((found[1], found[2]))
        which = which[: found.start()]
    if not which.strip():
        raise DatasetError(
            f"data set {data!r}: found no path in its name, wanted kind:which or the path of a labeled recording; name the data"
        )
    return NamedData(kind, which, tuple(sorted(options)))


def fingerprint(data: str, kind: str) -> str:
    """A name for what is kept of a data set in files of this kind.

    It changes with the data set's name, and with name, size or time of any file that the name refers to. What cannot be read
    is left to whoever opens the data set.
    """
    digest = hashlib.sha256(f"{kind} {data}".encode(errors="surrogateescape"))
    for place in _places_of(parse_name(data)):
        for line in _lines_of(place):
            digest.update(f"{line}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def _places_of(named: NamedData) -> list[str]:
    """The files and folders that a name mentions, and the intrinsics that images of a sequence find beside their folder."""
    beside = Path(named.which).absolute().parent / INTRINSICS_FILE
    places = [named.which, *(value for _, value in named.options), str(beside)]
    return [place for place in places if os.path.exists(place)]


def _lines_of(place: str) -> Iterator[str]:
    """A line for each file: its place, size and time. Of a folder that links lead to again, where it was first."""
    if not os.path.isdir(place):
        yield from _line_of(place, "")
        return
    seen = {os.path.realpath(place)}
    for folder, inner, files in os.walk(place, followlinks=True):
        inner.sort()
        for name in list(inner):
            path = os.path.join(folder, name)
            real = os.path.realpath(path)
            if real in seen:
                inner.remove(name)
                yield f"{os.path.relpath(path, place)} is {real}"
            seen.add(real)
        for name in sorted(files):
            path = os.path.join(folder, name)
            yield from _line_of(path, os.path.relpath(path, place))


def _line_of(path: str, shown: str) -> Iterator[str]:
    if os.path.isfile(path):
        facts = os.stat(path)
        yield f"{shown} {facts.st_size} {facts.st_mtime_ns}"


def _resolved(text: str) -> str:
    return os.path.realpath(text) if os.path.exists(text) else text
