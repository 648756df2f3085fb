"""Reads YAML into frozen structs; unknown keys, duplicate keys and wrong types are refused with the line and nearest key.

A field of type `Path` is relative to the folder of its YAML file.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml

from handmap.files.reading import read_bytes
from handmap.system.config_errors import Schema, fault_sentence
from handmap.system.config_faults import Decoding, find_faults
from handmap.system.plugins import PluginGroup
from handmap.types.errors import ConfigError

T = TypeVar("T")

LONGEST_BYTES: Final = 256 * 1024
DEEPEST: Final = 16  # levels of nested sections
MOST_FAULTS: Final = 20  # that one message shows
# In any base, sexagesimal too: such numbers take long to read, and Python refuses to print them.
_LONG_NUMBER: Final = re.compile(r"[-+]?[0-9.][0-9a-fA-F_xob:.]{63,}")

_TEXT_TAG = "tag:yaml.org,2002:str"


def read_config(path: Path, kind: type[T], plugins: tuple[PluginGroup, ...] = ()) -> T:
    """The struct of type `kind` that the YAML file holds; plug-in sections are read by the struct of their kind.

    Raises ConfigError with every fault, its line and, for an unknown key, the nearest known one.
    """
    text = _read(path)
    try:
        _refuse_beyond_plain(text, path)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        places = _Places()
        if root is not None:
            _note_places(root, places)
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
    decoding = Decoding(_decoder(path.parent, plugins), {group.contract: group for group in plugins})
    schema = Schema(kind, plugins)
    faults = places.faults + [
        fault_sentence(one, data, schema, places.lines) for one in find_faults(data, kind, decoding)
    ]
    if faults:
        raise ConfigError(
            _joined(path, sorted(faults, key=lambda one: int(one.removeprefix("line ").partition(":")[0])))
        )
    return msgspec.convert(data, kind, strict=True, dec_hook=decoding.hook)


def _joined(path: Path, faults: list[str]) -> str:
    """One fault as a sentence, several in a line each."""
    if len(faults) == 1:
        return f"configuration {str(path)!r}, {faults[0]}"
    more = [f"and {len(faults) - MOST_FAULTS} more"] if len(faults) > MOST_FAULTS else []
    return "\n  ".join([f"configuration {str(path)!r} has {len(faults)} faults:", *faults[:MOST_FAULTS], *more])


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


def _decoder(folder: Path, plugins: tuple[PluginGroup, ...]) -> Callable[[type, Any], Any]:
    """Decodes what msgspec cannot: paths, and plug-in sections."""
    groups = {group.contract: group for group in plugins}

    def decode(wanted: type, value: Any) -> Any:
        if wanted in groups:
            try:
                return msgspec.convert(value, groups[wanted].struct_for(value), strict=True, dec_hook=decode)
            except msgspec.ValidationError as error:
                raise ValueError(str(error)) from error  # msgspec adds the section's place
        if wanted is not Path:
            raise NotImplementedError(f"a value of type {wanted.__name__} cannot be read from YAML")
        return _path(folder, value)

    return decode


def _path(folder: Path, value: Any) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError("Expected a path")
    try:
        return (folder / Path(value).expanduser()).resolve()
    except RuntimeError as error:
        raise ValueError("Expected a path, with a user of this machine after ~") from error


@dataclass(frozen=True)
class _Places:
    """Line number (from 1) of every key and item by msgspec's notation for its place, and the faults of keys themselves."""

    lines: dict[str, int] = field(default_factory=lambda: {"$": 1})
    faults: list[str] = field(default_factory=list)


def _note_places(node: yaml.Node, places: _Places, place: str = "$") -> None:
    """Adds the places in a node; a key that is not text, or given twice, is a fault, and taken out of the node."""
    places.lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        pairs, node.value = node.value, []
        for key, value in pairs:
            line = key.start_mark.line + 1
            if key.tag != _TEXT_TAG:
                places.faults.append(
                    f"line {line}: key {_shown_key(key)} is not text to YAML; remove it, or put it in quotes"
                )
                continue
            name = str(key.value)
            if name in seen:
                full = f"{place}.{name}".removeprefix("$.")
                places.faults.append(f"line {line}: key {full!r} is given twice; remove one")
                continue
            seen.add(name)
            node.value.append((key, value))
            _note_places(value, places, f"{place}.{name}")
            places.lines[f"{place}.{name}"] = line
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note_places(item, places, f"{place}[{index}]")


def _shown_key(key: yaml.Node) -> str:
    return repr(key.value) if isinstance(key, yaml.ScalarNode) else "that is a list or section"
