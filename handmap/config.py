"""YAML files into frozen structs. Unknown keys, duplicate keys and wrong types are refused with the line and the nearest key.

A field of type `Path` is relative to the folder of its YAML file.
"""

import difflib
import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from handmap.errors import ConfigError

T = TypeVar("T")

_PLACE = re.compile(r" - at `(?P<place>[^`]+)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>[^`]+)`")
_MISSING = re.compile(r"Object missing required field `(?P<key>[^`]+)`")


def read_config(path: Path, kind: type[T]) -> T:
    """The struct of type `kind` that the YAML file holds.

    Raises ConfigError with path, line and, for an unknown key, the nearest known one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"configuration {str(path)!r} cannot be read: {error}; name an existing UTF-8 YAML file"
        ) from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        lines = _lines_by_place(root, path) if root is not None else {"$": 1}
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or error
        raise ConfigError(
            f"configuration {str(path)!r}{line}: not valid YAML ({problem}); correct the syntax there"
        ) from error
    return _convert({} if data is None else data, kind, path, lines)


def _convert(data: object, kind: type[T], path: Path, lines: dict[str, int]) -> T:
    def decode(wanted: type, value: Any) -> Any:
        if wanted is Path and isinstance(value, str):
            return (path.parent / Path(value).expanduser()).resolve()
        raise NotImplementedError(f"a value of type {wanted.__name__} cannot be read from YAML")

    try:
        return msgspec.convert(data, kind, strict=True, dec_hook=decode)
    except msgspec.ValidationError as error:
        raise ConfigError(_sentence(str(error), data, kind, path, lines)) from error


def _sentence(message: str, data: object, kind: type, path: Path, lines: dict[str, int]) -> str:
    """msgspec's message with the line of the key and how to mend it."""
    found_place = _PLACE.search(message)
    place = found_place["place"] if found_place else "$"
    what = _PLACE.sub("", message)
    unknown, missing = _UNKNOWN.match(what), _MISSING.match(what)
    shown = place.removeprefix("$").lstrip(".")
    if unknown:
        key = unknown["key"]
        where = f"{place}.{key}"
        full = f"{shown}.{key}" if shown else key
        return f"configuration {str(path)!r}, line {lines.get(where, 1)}: unknown key {full!r}; {_nearest(key, kind, data, place)}"
    if missing:
        full = f"{shown}.{missing['key']}" if shown else missing["key"]
        return f"configuration {str(path)!r}, line {lines.get(place, 1)}: key {full!r} is missing; add it"
    hint = "; YAML reads 1e-3 as text, write 1.0e-3" if "got `str`" in what and "float" in what else ""
    found = f"{shown or 'the file'!r}: {what[0].lower()}{what[1:]}{hint}"
    return f"configuration {str(path)!r}, line {lines.get(place, 1)}: key {found}; correct the value"


def _nearest(key: str, kind: type, data: object, place: str) -> str:
    known = _keys_at(kind, data, place)
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known keys here: {', '.join(known)}"


def _keys_at(kind: Any, data: Any, place: str) -> list[str]:
    """Names of the fields of the struct at a place like `$.camera.path` or `$.targets[0]`."""
    current = msgspec.inspect.type_info(kind)
    for step in re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", place):
        name, index = step
        current = _chosen(current, data)
        if name and isinstance(current, msgspec.inspect.StructType):
            current = next((field.type for field in current.fields if field.encode_name == name), current)
            data = data.get(name) if isinstance(data, dict) else None
        elif index:
            current = getattr(current, "item_type", current)
            data = data[int(index)] if isinstance(data, list) and index.isdigit() else None
    current = _chosen(current, data)
    if not isinstance(current, msgspec.inspect.StructType):
        return []
    tag = [current.tag_field] if current.tag_field else []
    return [*tag, *(field.encode_name for field in current.fields)]


def _chosen(current: Any, data: Any) -> Any:
    """The member of a union that the data's tag names, or the only struct in it."""
    if not isinstance(current, msgspec.inspect.UnionType):
        return current
    structs = [member for member in current.types if isinstance(member, msgspec.inspect.StructType)]
    for member in structs:
        if isinstance(data, dict) and member.tag_field and data.get(member.tag_field) == member.tag:
            return member
    return structs[0] if structs else current


def _lines_by_place(node: yaml.Node, path: Path, place: str = "$") -> dict[str, int]:
    """Line number (from 1) of every key and item, by msgspec's notation of its place; duplicate keys are refused."""
    lines = {place: node.start_mark.line + 1}
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise ConfigError(
                    f"configuration {str(path)!r}, line {key.start_mark.line + 1}: key {name!r} is given twice; remove one"
                )
            seen.add(name)
            lines |= _lines_by_place(value, path, f"{place}.{name}")
            lines[f"{place}.{name}"] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines |= _lines_by_place(item, path, f"{place}[{index}]")
    return lines
