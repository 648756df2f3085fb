"""Names that somebody else chose, as the legend of a plot can show them: not too long, each another one, in letters of the font."""

from collections.abc import Callable, Sequence
from typing import Final

MOST_LETTERS: Final = 40
GAP: Final = "\N{HORIZONTAL ELLIPSIS}"


def shown_names(names: Sequence[str], has_glyph: Callable[[str], bool]) -> list[str]:
    """The names as they are drawn: without their middle where they are long, and numbered where that makes two of them the same.

    Letters that the font lacks, or that cannot be printed, are escaped as in Python.
    """
    short = [_shortened(_drawable(name, has_glyph)) for name in names]
    return [
        name if short.count(name) == 1 else f"{name} ({1 + short[:place].count(name)})"
        for place, name in enumerate(short)
    ]


def _drawable(name: str, has_glyph: Callable[[str], bool]) -> str:
    return "".join(
        letter if letter.isprintable() and has_glyph(letter) else letter.encode("unicode_escape").decode()
        for letter in name
    )


def _shortened(name: str) -> str:
    if len(name) <= MOST_LETTERS:
        return name
    first = MOST_LETTERS // 2
    return name[:first] + GAP + name[first + 1 - MOST_LETTERS :]
