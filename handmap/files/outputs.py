"""Outputs that replace nothing, whatever is there."""

import os
from pathlib import Path

from handmap.types.errors import ConfigError

from .atomic import refuse_unwritable


def refuse_taken(path: Path, option: str = "--out") -> None:
    """Raises ConfigError if something has this name already, FileError if nothing can be written there.

    Call it before long work. `option` is what names the path.
    """
    if os.path.lexists(path):
        raise ConfigError(f"output {str(path)!r}: something is there already; choose another {option}")
    refuse_unwritable(path)
