"""Types of command-line options that several parts share."""

import math
from pathlib import Path
from typing import Any, Final

import click


class NamedPath(click.Path):
    """A path. click takes an empty text, as of a variable that is not set, for the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Any:
        """The path; a usage error if it is empty."""
        if value in ("", b""):
            self.fail("the path is empty; write . for the current folder.", param, context)
        return super().convert(value, param, context)


# What is there and cannot be read is refused where it is read, by a sentence and exit code 78, not by click with 2.
PATH: Final = NamedPath(path_type=Path, readable=False)


class FiniteRange(click.FloatRange):
    """A number in a range. click takes `nan` for one in every range, and `inf` for one in a range without an end."""

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> float:
        """The number; a usage error if it is not finite or out of range."""
        number = float(super().convert(value, param, context))
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number.", param, context)
        return number
