"""Names that somebody else chose, as the legend of a plot can show them: not too long, each another one, in letters of the font."""

from collections.abc import Sequence
from typing import Final

from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.legend import Legend

MOST_LETTERS: Final = 40
GAP: Final = "\N{HORIZONTAL ELLIPSIS}"
WEIGHTS: Final = ("normal", "bold")  # of the letters in our plots


def shown_names(names: Sequence[str]) -> list[str]:
    """The names as they are drawn: without their middle where they are long, and numbered where that makes two of them the same.

    Letters that the font lacks, or that cannot be printed, are escaped as in Python.
    """
    short = [_shortened(_drawable(name)) for name in names]
    return [
        name if short.count(name) == 1 else f"{name} ({1 + short[:place].count(name)})"
        for place, name in enumerate(short)
    ]


def has_glyph(letter: str) -> bool:
    """Whether the font of our plots can draw a letter in all weights."""
    fonts = (get_font(findfont(FontProperties(weight=weight))) for weight in WEIGHTS)
    return all(font.get_char_index(ord(letter)) != 0 for font in fonts)


def name_entries(legend: Legend, names: Sequence[str]) -> None:
    """Gives the entries of a legend their names as they are: a leading underscore or a dollar sign has no meaning."""
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)


def _drawable(name: str) -> str:
    return "".join(
        letter if letter.isprintable() and has_glyph(letter) else letter.encode("unicode_escape").decode()
        for letter in name
    )


def _shortened(name: str) -> str:
    if len(name) <= MOST_LETTERS:
        return name
    first = MOST_LETTERS // 2
    return name[:first] + GAP + name[first + 1 - MOST_LETTERS :]
