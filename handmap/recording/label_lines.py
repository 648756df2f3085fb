"""Labels as text, one frame a line: a name, then numbers. The layout of HANDS17, ICVL and MSRA, and of the labels of one's own PNGs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from handmap.files.reading import read_bytes
from handmap.types.arrays import Float64
from handmap.types.errors import DatasetError

MAX_LABEL_BYTES: Final = 2 << 30  # the labels of HANDS17, the longest, are about 600 MB


@dataclass(frozen=True)
class LineLayout:
    """What each line holds after its name, if there is one: so many numbers, which mean this."""

    counts: tuple[int, ...]
    meaning: str
    is_named: bool = True
    may_be_nan: bool = False


class LabelLine(NamedTuple):
    """A line that is not blank, and its number from 1."""

    number: int
    text: bytes


def read_lines(path: Path, advice: str) -> list[LabelLine]:
    """The lines of a file but for blank ones, not parsed.

    Raises DatasetError with the advice if it cannot be read or has none.
    """
    try:
        content = read_bytes(path, MAX_LABEL_BYTES)
    except OSError as error:
        raise DatasetError(f"labels {str(path)!r} cannot be read ({error.strerror}); {advice}") from error
    lines = [LabelLine(number, text) for number, text in enumerate(content.split(b"\n"), 1) if text.strip()]
    if not lines:
        raise DatasetError(f"labels {str(path)!r}: found no line; {advice}")
    return lines


def parse_line(path: Path, line: LabelLine, layout: LineLayout) -> tuple[str, Float64]:
    """The name, empty if the layout has none, and the numbers of a line.

    Raises DatasetError, naming file and line, unless they are as many as the layout says, and finite.
    """
    words = line.text.decode("utf-8", errors="replace").split()
    name, words = (words[0], words[1:]) if layout.is_named else ("", words)
    numbers = [_number(word) for word in words]
    wrong = next((word for word, number in zip(words, numbers, strict=True) if number is None), None)
    if wrong is not None:
        raise line_fault(path, line, f"found {wrong!r} among the numbers", layout.meaning)
    if len(numbers) not in layout.counts:
        raise line_fault(path, line, f"found {len(numbers)} numbers", layout.meaning)
    values: Float64 = np.array(numbers, np.float64)
    if np.isinf(values).any() or (np.isnan(values).any() and not layout.may_be_nan):
        raise line_fault(path, line, "found a number that is not finite", layout.meaning)
    return name, values


def line_fault(path: Path, line: LabelLine, found: str, wanted: str) -> DatasetError:
    """The error about what is wrong with a line."""
    return DatasetError(
        f"labels {str(path)!r}, line {line.number}: {found}, wanted {wanted}; correct the line or take it out"
    )


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
