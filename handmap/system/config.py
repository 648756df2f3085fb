"""Reads YAML into frozen structs; unknown keys, duplicate keys and wrong types are refused with the line and nearest key.

A field of type `Path` is relative to the folder of its YAML file.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml

from handmap.system.config_errors import Schema, sentence
from handmap.system.plugins import PluginGroup
from handmap.types.errors import ConfigError

T = TypeVar("T")

LONGEST_BYTES: Final = 256 * 1024
DEEPEST: Final = 16  # levels of nested sections

_TEXT_TAG = "tag:yaml.org,2002:str"


def read_config(path: Path, kind: type[T], plugins: tuple[PluginGroup, ...] = ()) -> T:
    """The struct of type `kind` that the YAML file holds; plug-in sections are read by the struct of their kind.

    Raises ConfigError with path, line and, for an unknown key, the nearest known one.
    """
    text = _read(path)
    try:
        _refuse_beyond_plain(text, path)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = _lines_by_place(root, path) if root is not None else {"$": 1}
        data = yaml.safe_load(text)
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
    data = {} if data is None else data
    try:
        return msgspec.convert(data, kind, strict=True, dec_hook=_decoder(path.parent, plugins))
    except msgspec.ValidationError as error:
        raise ConfigError(sentence(str(error), data, Schema(kind, plugins), path, lines)) from error


def _read(path: Path) -> str:
    wanted = f"name an existing UTF-8 YAML file of at most {LONGEST_BYTES // 1024} KiB"
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"configuration {str(path)!r} cannot be read ({error.strerror}); {wanted}") from error
    if len(content) > LONGEST_BYTES:
        raise ConfigError(f"configuration {str(path)!r} is longer; {wanted}")
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


def _lines_by_place(node: yaml.Node, path: Path, place: str = "$") -> dict[str, int]:
    """Line number (from 1) of every key and item, keyed by msgspec's notation for its place; duplicate keys are refused."""
    lines = {place: node.start_mark.line + 1}
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.tag != _TEXT_TAG:
                raise ConfigError(
                    f"configuration {str(path)!r}, line {key.start_mark.line + 1}: key {_shown_key(key)} is not text to YAML; "
                    "remove it, or put it in quotes"
                )
            name = str(key.value)
            if name in seen:
                full = f"{place}.{name}".removeprefix("$.")
                raise ConfigError(
                    f"configuration {str(path)!r}, line {key.start_mark.line + 1}: key {full!r} is given twice; remove one"
                )
            seen.add(name)
            lines |= _lines_by_place(value, path, f"{place}.{name}")
            lines[f"{place}.{name}"] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines |= _lines_by_place(item, path, f"{place}[{index}]")
    return lines


def _shown_key(key: yaml.Node) -> str:
    return repr(key.value) if isinstance(key, yaml.ScalarNode) else "that is a list or section"
