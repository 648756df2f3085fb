"""Types of command-line options that several parts share."""

from pathlib import Path
from typing import Final

import click

# What is there and cannot be read is refused where it is read, by a sentence and exit code 78, not by click with 2.
PATH: Final = click.Path(path_type=Path, readable=False)
