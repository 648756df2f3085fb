"""Labels as text, one frame a line: a name, then numbers. The layout of HANDS17, ICVL and MSRA, and of the labels of one's own PNGs."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from handmap.files.reading import read_bytes
from handmap.recording.label_values import MAX_VALUE, depth_fault
from handmap.types.arrays import Float64
from handmap.types.errors import DatasetError

MAX_LABEL_BYTES: Final = 2 << 30  # the labels of HANDS17, the longest, are about 600 MB
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
MAX_SHOWN: Final = 40  # characters of a word in a message


@dataclass(frozen=True)
class LineLayout:
    """What each line holds after its name, if there is one: so many numbers, which mean this.

    fix is what to do about a line that is wrong, to_mm about one in meters; depth says how depth is written; content is what
    the file has.
    """

    counts: tuple[int, ...]
    meaning: str
    fix: str
    is_named: bool = True
    may_be_nan: bool = False
    depth: str = "z in mm, away from the camera"
    to_mm: str = "multiply x, y and z by 1000"
    content: str = "labels"


class LabelLine(NamedTuple):
    """A line that is not blank, and its number from 1."""

    number: int
    text: bytes


def read_lines(path: Path, layout: LineLayout, advice: str) -> list[LabelLine]:
    """The lines of a file but for blank ones, not parsed.

    Raises DatasetError with the advice if it cannot be read or has none, or if it begins with a byte order mark or is UTF-16.
    """
    subject = f"{layout.content} {str(path)!r}"
    try:
        content = read_bytes(path, MAX_LABEL_BYTES)
    except OSError as error:
        raise DatasetError(f"{subject} cannot be read ({error.strerror}); {advice}") from error
    if content.startswith(UTF16_MARKS):
        raise DatasetError(
            f"{subject}, line 1: it is UTF-16, wanted plain text; convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW"
        )
    if content.startswith(BYTE_ORDER_MARK):
        remove = f"sed -i '1s/^\\xEF\\xBB\\xBF//' {shlex.quote(str(path))}"
        raise DatasetError(
            f"{subject}, line 1: it begins with a byte order mark, wanted text without; remove it: {remove}"
        )
    lines = [LabelLine(number, text) for number, text in enumerate(content.split(b"\n"), 1) if text.strip()]
    if not lines:
        raise DatasetError(f"{subject}: found no line; {advice}")
    return lines


def parse_line(path: Path, line: LabelLine, layout: LineLayout) -> tuple[str, Float64]:
    """The name, empty if the layout has none, and the numbers of a line.

    Raises DatasetError, naming file and line, unless they are as many as the layout says, finite and at most MAX_VALUE.
    """
    words = line.text.decode("utf-8", errors="replace").split()
    name, words = (words[0], words[1:]) if layout.is_named else ("", words)
    numbers = [parse_number(word) for word in words]
    wrong = next((word for word, number in zip(words, numbers, strict=True) if number is None), None)
    if wrong is not None:
        raise line_fault(path, line, layout, f"found {_shown(wrong)!r} among the numbers")
    if len(numbers) not in layout.counts:
        raise line_fault(path, line, layout, f"found {len(numbers)} numbers")
    values: Float64 = np.array(numbers, np.float64)
    if np.isinf(values).any() or (np.isnan(values).any() and not layout.may_be_nan):
        raise line_fault(path, line, layout, "found a number that is not finite")
    if (huge := np.flatnonzero(np.abs(values) > MAX_VALUE)).size:
        raise line_fault(
            path, line, layout, f"found the number {_shown(words[huge[0]])}, which is beyond {MAX_VALUE:g}"
        )
    return name, values


def refuse_depths(path: Path, line: LabelLine, layout: LineLayout, z_mm: Float64, names: Sequence[str]) -> None:
    """Raises DatasetError if the depths (J,) of a line's labeled points, which have these names, are those of no hand."""
    if (fault := depth_fault(z_mm, names)) is not None:
        raise line_fault(
            path, line, layout, fault.found, layout.depth, layout.to_mm if fault.are_meters else layout.fix
        )


def refuse_repeated(lines: Iterable[tuple[Path, LabelLine]], layout: LineLayout) -> None:
    """Raises DatasetError, naming both lines, if two lines begin with the same name."""
    seen: dict[bytes, tuple[Path, LabelLine]] = {}
    for path, line in lines:
        name = line.text.split(maxsplit=1)[0]
        first_path, first = seen.setdefault(name, (path, line))
        if first is not line:
            place = f"line {first.number}" + ("" if first_path == path else f" of {str(first_path)!r}")
            found = f"found {_shown(name.decode('utf-8', errors='replace'))!r} again"
            raise line_fault(path, line, layout, found, f"the one label of {place}")


def line_fault(
    path: Path, line: LabelLine, layout: LineLayout, found: str, wanted: str | None = None, fix: str | None = None
) -> DatasetError:
    """The error about what is wrong with a line; unless said otherwise what is wanted and the fix are the layout's."""
    return DatasetError(
        f"{layout.content} {str(path)!r}, line {line.number}: {found}, wanted {wanted or layout.meaning}; {fix or layout.fix}"
    )


def parse_number(word: str) -> float | None:
    """The number that a word is; Python's own reader takes 1_0 and digits of other scripts for one, too, which are refused."""
    if not word.isascii() or "_" in word:
        return None
    try:
        return float(word)
    except ValueError:
        return None


def _shown(word: str) -> str:
    return word if len(word) <= MAX_SHOWN else f"{word[: MAX_SHOWN - 3]}..."
