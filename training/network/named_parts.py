"""Layouts and heads by the name in a configuration: one of ours, one that an installed package registers, or an import path.

A package registers a layout in the entry-point group `handmap.layouts` and a head in `handmap.heads`. Names of ours come first.
"""

import re
from collections.abc import Collection, Mapping
from functools import reduce
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Final, Literal, TypeAlias

from handmap.types.errors import ConfigError

from .heads import HEADS
from .layouts import LAYOUTS, Builder, Layout

PartKind: TypeAlias = Literal["layout", "head"]
OURS: Final[Mapping[PartKind, Collection[str]]] = {"layout": LAYOUTS, "head": HEADS}
GROUPS: Final[Mapping[PartKind, str]] = {"layout": "handmap.layouts", "head": "handmap.heads"}
PATH: Final = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")
EXAMPLES: Final[Mapping[PartKind, str]] = {"layout": "my_package.my_module:my_layout", "head": "my_package:MyHead"}
PARTS_OF_LAYOUT: Final = ("stem", "body", "layers", "width")


def refuse_unknown(kind: PartKind, name: str) -> None:
    """Raises ValueError if a name is neither known nor an import path. Imports nothing."""
    if name in OURS[kind] or PATH.fullmatch(name):
        return
    registered = {entry.name for entry in entry_points(group=GROUPS[kind])}
    if name not in registered:
        known = ", ".join([*OURS[kind], *sorted(registered - set(OURS[kind]))])
        raise ValueError(
            f"network.{kind}: {name!r} is not known; use one of {known}, or name your own by its import path, such as "
            f"{EXAMPLES[kind]}"
        )


def find_layout(name: str) -> Layout:
    """The layout with a name or import path.

    Raises ConfigError if it cannot be imported or is not a `Layout`.
    """
    if name in LAYOUTS:
        return LAYOUTS[name]
    found = _load("layout", name)
    # By its parts, not by its class: a process may have loaded the class from the checkout and from the installed package.
    if isinstance(found, type) or not all(callable(getattr(found, part, None)) for part in PARTS_OF_LAYOUT):
        raise ConfigError(f"layout {name!r} is {found!r:.80}, wanted a handmap.training.Layout; name one")
    layout: Layout = found  # type: ignore[assignment]  # it has all that a layout has
    return layout


def find_head(name: str) -> Builder:
    """What builds the head with a registered name or import path, which is none of ours, for a width.

    Raises ConfigError if it cannot be imported or called.
    """
    found = _load("head", name)
    if not callable(found):
        raise ConfigError(
            f"head {name!r} is {found!r:.80}, wanted a class or function that makes a handmap.training.Head for a number of "
            "features; name one"
        )
    builder: Builder = found
    return builder


def _load(kind: PartKind, name: str) -> object:
    entry = EntryPoint(name, name, GROUPS[kind]) if PATH.fullmatch(name) else _registered(kind, name)
    of = f"{kind} {name!r}" if entry.value == name else f"{kind} {name!r} ({entry.value})"
    try:
        module = import_module(entry.module)
    except Exception as error:  # a module of somebody else's can raise anything
        raise ConfigError(f"{of} cannot be imported: {_fault(error, entry.module)}") from error
    try:
        return reduce(getattr, entry.attr.split("."), module)
    except AttributeError as error:
        raise ConfigError(
            f"{of} cannot be imported: {error} ({module.__file__}); correct the name after the colon"
        ) from error


def _fault(error: Exception, module: str) -> str:
    """What went wrong at the import of a module, and what to do."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return f"{type(error).__name__}: {error}; correct {module}"
    if f"{module}.".startswith(f"{error.name}."):
        return (
            f"there is no module {error.name!r}; install its package, or add the folder that contains it to PYTHONPATH"
        )
    return f"it needs the module {error.name!r}, which is not installed; install it"


def _registered(kind: PartKind, name: str) -> EntryPoint:
    found = {entry.value: entry for entry in entry_points(group=GROUPS[kind], name=name)}
    if len(found) != 1:
        packages = " and ".join(sorted(found)) or "no installed package"
        raise ConfigError(
            f"{kind} {name!r}: {packages} provides it, wanted one; install or remove packages, or use an import path"
        )
    return next(iter(found.values()))
