"""Maps the paths of a configuration inside an image to paths on the host."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

Section = TypeVar("Section", bound=msgspec.Struct)


def below_root(section: Section, here: Callable[[str | Path], Path]) -> Section:
    """A camera section of any kind, with all its paths placed below the machine's root."""
    changes: dict[str, object] = {}
    for name in section.__struct_fields__:
        value = getattr(section, name)
        if isinstance(value, Path):
            changes[name] = here(value)
        elif isinstance(value, msgspec.Struct):
            changes[name] = below_root(value, here)
    return msgspec.structs.replace(section, **changes)
