"""YAML files into frozen structs. Unknown keys, duplicate keys and wrong types are refused with the line and the nearest key.

A field of type `Path` is relative to the folder of its YAML file.
"""

import difflib
import re
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import yaml

from handmap.errors import ConfigError

T = TypeVar("T")

LONGEST_BYTES: Final = 256 * 1024
DEEPEST: Final = 16  # sections inside one another

_PLACE = re.compile(r" - at `(?P<place>[^`]+)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>[^`]+)`")
_MISSING = re.compile(r"Object missing required field `(?P<key>[^`]+)`")
_CHOICE = re.compile(r"Invalid (enum )?value .*")
_TEXT_TAG = "tag:yaml.org,2002:str"
# msgspec's names of types, in words.
_WORDS = {
    "`object`": "a section of keys", "`array`": "a list", "`str`": "text", "`int`": "a whole number",
    "`float`": "a number", "`bool`": "true or false", "`null`": "nothing",
}  # fmt: skip


def read_config(path: Path, kind: type[T]) -> T:
    """The struct of type `kind` that the YAML file holds.

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
    except ValueError as error:  # a date or number that looks like one and is none
        raise ConfigError(
            f"configuration {str(path)!r}: a value cannot be read ({error}); put it in quotes, or correct it"
        ) from error
    return _convert({} if data is None else data, kind, path, lines)


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
        raise ConfigError(f"configuration {str(path)!r} is no UTF-8 text (byte {error.start}); {wanted}") from error


def _refuse_beyond_plain(text: str, path: Path) -> None:
    """Refuses what no configuration needs: aliases and deep nesting, which a few lines blow up without end, tags, and
    control characters.
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
            found = f"more than {DEEPEST} sections inside one another"
        if found:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise ConfigError(f"configuration {str(path)!r}, line {line}: found {found}; write plain keys and values")


def _convert(data: object, kind: type[T], path: Path, lines: dict[str, int]) -> T:
    def decode(wanted: type, value: Any) -> Any:
        if wanted is not Path:
            raise NotImplementedError(f"a value of type {wanted.__name__} cannot be read from YAML")
        if not isinstance(value, str) or not value:
            raise ValueError("Expected a path")
        try:
            return (path.parent / Path(value).expanduser()).resolve()
        except RuntimeError as error:
            raise ValueError("Expected a path, and after ~ a user of this machine") from error

    try:
        return msgspec.convert(data, kind, strict=True, dec_hook=decode)
    except msgspec.ValidationError as error:
        raise ConfigError(_sentence(str(error), data, kind, path, lines)) from error


def _sentence(message: str, data: object, kind: type, path: Path, lines: dict[str, int]) -> str:
    """msgspec's message with the line of the key, what was found there, and how to mend it."""
    found_place = _PLACE.search(message)
    place = found_place["place"] if found_place else "$"
    what = _PLACE.sub("", message)
    unknown, missing = _UNKNOWN.match(what), _MISSING.match(what)
    shown = place.removeprefix("$").lstrip(".")
    start = f"configuration {str(path)!r}, line {lines.get(place, 1)}"
    if unknown:
        key = unknown["key"]
        line = lines.get(f"{place}.{key}", 1)
        full = f"{shown}.{key}" if shown else key
        return f"configuration {str(path)!r}, line {line}: unknown key {full!r}; {_nearest(key, kind, data, place)}"
    if missing:
        full = f"{shown}.{missing['key']}" if shown else missing["key"]
        return f"{start}: key {full!r} is missing; add it"
    hint = "; YAML reads 1e-3 as text, write 1.0e-3" if "got `str`" in what and "float" in what else ""
    what = _CHOICE.sub(f"Expected one of {', '.join(_choices_at(kind, data, place))}", what)
    for word, plain in _WORDS.items():
        what = what.replace(word, plain)
    value = _value_at(data, place)
    found = "" if isinstance(value, dict | list) or ", got " in what else f", found {value!r:.60}"
    where = f"key {shown!r}" if shown else "the whole file"
    return f"{start}: {where}: {what[0].lower()}{what[1:]}{found}{hint}; correct the value"


def _nearest(key: str, kind: type, data: object, place: str) -> str:
    known = _keys_at(kind, data, place)
    close = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known keys here: {', '.join(known)}"


def _keys_at(kind: Any, data: Any, place: str) -> list[str]:
    """Names of the fields of the struct at a place like `$.camera.path` or `$.targets[0]`."""
    current = _type_at(kind, data, place)
    if not isinstance(current, msgspec.inspect.StructType):
        return []
    tag = [current.tag_field] if current.tag_field else []
    return [*tag, *(field.encode_name for field in current.fields)]


def _choices_at(kind: Any, data: Any, place: str) -> list[str]:
    """What may stand at a place that takes one of a few words."""
    current = _type_at(kind, data, place)
    members = current.types if isinstance(current, msgspec.inspect.UnionType) else (current,)
    words = [str(value) for member in members for value in getattr(member, "values", ())]
    return words or [str(member.tag) for member in members if isinstance(member, msgspec.inspect.StructType)]


def _type_at(kind: Any, data: Any, place: str) -> Any:
    """What msgspec knows of the type at a place; the key that tells a union's members apart has the type of the section."""
    current = msgspec.inspect.type_info(kind)
    for name, index in _steps(place):
        chosen = _chosen(current, data)
        if name and isinstance(chosen, msgspec.inspect.StructType):
            if name == chosen.tag_field:
                return current
            current = next((field.type for field in chosen.fields if field.encode_name == name), chosen)
        elif index:
            current = getattr(chosen, "item_type", chosen)
        data = _inside(data, name, index)
    return _chosen(current, data)


def _value_at(data: Any, place: str) -> Any:
    for name, index in _steps(place):
        data = _inside(data, name, index)
    return data


def _steps(place: str) -> list[tuple[str, str]]:
    """(key, "") or ("", index) for each step of msgspec's notation."""
    return re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", place)


def _inside(data: Any, name: str, index: str) -> Any:
    if name:
        return data.get(name) if isinstance(data, dict) else None
    return data[int(index)] if isinstance(data, list) and index.isdigit() else None


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
            if key.tag != _TEXT_TAG:
                raise ConfigError(
                    f"configuration {str(path)!r}, line {key.start_mark.line + 1}: key {_shown_key(key)} is no text to YAML; "
                    "remove it, or put it in quotes"
                )
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


def _shown_key(key: yaml.Node) -> str:
    return repr(key.value) if isinstance(key, yaml.ScalarNode) else "that is a list or section"
