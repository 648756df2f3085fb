"""One YAML file as plain data, with the line of every key; what no configuration needs is refused."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from handmap.files.reading import read_bytes
from handmap.types.errors import ConfigError

LONGEST_BYTES: Final = 256 * 1024
DEEPEST: Final = 16  # levels of nested sections
# In any base, sexagesimal too: such numbers take long to read, and Python refuses to print them.
_LONG_NUMBER: Final = re.compile(r"[-+]?[0-9.][0-9a-fA-F_xob:.]{63,}")

_TEXT_TAG = "tag:yaml.org,2002:str"


@dataclass(frozen=True)
class Spot:
    """Where a key or an item is written."""

    file: Path
    line: int  # from 1


@dataclass(frozen=True)
class Fault:
    """What is wrong somewhere, as a sentence without the place."""

    spot: Spot
    text: str


@dataclass(frozen=True)
class Document:
    """What a file says, or several that were merged."""

    path: Path  # the first file: paths in all of them are relative to its folder
    data: Any
    spots: dict[str, Spot]  # by msgspec's notation for the place of a key or item
    faults: tuple[Fault, ...]  # of keys themselves
    files: tuple[Path, ...]  # in the order in which they were merged


def read_document(path: Path) -> Document:
    """The content of a file; an empty one is an empty section.

    Raises ConfigError with the line of what is not plain YAML.
    """
    text = _read(path)
    spots, faults = {"$": Spot(path, 1)}, list[Fault]()
    try:
        _refuse_beyond_plain(text, path)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            _note_places(root, path, spots, faults)
        data = yaml.SafeLoader("").construct_document(root) if root is not None else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        raise ConfigError(
            f"configuration {str(path)!r}{line}: not valid YAML ({problem}); correct the syntax there"
        ) from error
    except ValueError as error:  # something that looks like a date or number but is invalid
        raise ConfigError(
            f"configuration {str(path)!r}: a value cannot be read ({error}); put it in quotes, or correct it"
        ) from error
    return Document(path, data, spots, tuple(faults), (path,))


def _read(path: Path) -> str:
    wanted = f"name an existing UTF-8 YAML file of at most {LONGEST_BYTES // 1024} KiB"
    try:
        content = read_bytes(path, LONGEST_BYTES)
    except OSError as error:
        raise ConfigError(f"configuration {str(path)!r} cannot be read ({error.strerror}); {wanted}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"configuration {str(path)!r} is not UTF-8 text (byte {error.start}); {wanted}") from error


def _refuse_beyond_plain(text: str, path: Path) -> None:
    """Refuses what no configuration needs: tags, control characters, and aliases and deep nesting, with which a few lines can
    expand without bound.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        found = ""
        if isinstance(event, yaml.AliasEvent):
            found = f"an alias (*{event.anchor})"
        elif isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)) and event.tag:
            found = f"a tag ({event.tag})"
        elif isinstance(event, yaml.ScalarEvent) and not event.value.isprintable():
            found = f"text with a control character or line break ({event.value[:40]!r})"
        elif isinstance(event, yaml.ScalarEvent) and event.implicit[0] and _LONG_NUMBER.fullmatch(event.value):
            found = f"a number of {len(event.value)} digits"
        elif depth > DEEPEST:
            found = f"more than {DEEPEST} levels of nested sections"
        if found:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise ConfigError(f"configuration {str(path)!r}, line {line}: found {found}; write plain keys and values")


def _note_places(node: yaml.Node, path: Path, spots: dict[str, Spot], faults: list[Fault], place: str = "$") -> None:
    """Adds the places in a node; a key that is not text, or given twice, is a fault, and taken out of the node."""
    spots[place] = Spot(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        pairs, node.value = node.value, []
        for key, value in pairs:
            spot = Spot(path, key.start_mark.line + 1)
            if key.tag != _TEXT_TAG:
                faults.append(Fault(spot, f"key {_shown_key(key)} is not text to YAML; remove it, or put it in quotes"))
                continue
            name = str(key.value)
            if name in seen:
                full = f"{place}.{name}".removeprefix("$.")
                faults.append(Fault(spot, f"key {full!r} is given twice; remove one"))
                continue
            seen.add(name)
            node.value.append((key, value))
            _note_places(value, path, spots, faults, f"{place}.{name}")
            spots[f"{place}.{name}"] = spot
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note_places(item, path, spots, faults, f"{place}[{index}]")


def _shown_key(key: yaml.Node) -> str:
    return repr(key.value) if isinstance(key, yaml.ScalarNode) else "that is a list or section"
