"""Error messages for a configuration that does not fit its structs: line, found and wanted, and what was probably meant."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from msgspec.inspect import CustomType, StructType, UnionType, type_info

from handmap.system.plugins import PluginGroup
from handmap.system.renamed import RENAMED_KEYS

_PLACE = re.compile(r" - at `(?P<place>[^`]+)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>[^`]+)`")
_MISSING = re.compile(r"Object missing required field `(?P<key>[^`]+)`")
_CHOICE = re.compile(r"Invalid (?:enum )?value (?:'.*'|\S+)(?:; (?P<advice>[^']*))?$")
_TYPES = re.compile(r"`((?:object|array|str|int|float|bool|null)(?: \| \w+)*)`")
# msgspec's type names, in words.
_WORDS = {
    "object": "a section of keys", "array": "a list", "str": "text", "int": "a whole number",
    "float": "a number", "bool": "true or false", "null": "nothing",
}  # fmt: skip
NEAR: Final = 0.55  # difflib ratio: `fx` is near `fx_px`


@dataclass(frozen=True)
class Schema:
    """The struct of a whole file, and the plug-in sections in it."""

    kind: type
    plugins: tuple[PluginGroup, ...] = ()

    @property
    def whole(self) -> Any:
        """msgspec's type of the whole file."""
        return type_info(self.kind)

    def opened(self, current: Any) -> Any:
        """A plug-in section as the union of its kinds; any other type unchanged."""
        for group in self.plugins:
            if isinstance(current, CustomType) and current.cls is group.contract:
                return UnionType(tuple(type_info(struct) for struct in group.structs()))
        return current


def fault_sentence(message: str, data: object, schema: Schema) -> tuple[str, str]:
    """The place of what is wrong, and msgspec's message as a sentence with what was found there and how to fix it."""
    what, place = _split(message)
    unknown, missing = _UNKNOWN.match(what), _MISSING.match(what)
    shown = place.removeprefix("$").lstrip(".")
    if unknown:
        key = unknown["key"]
        full = f"{shown}.{key}" if shown else key
        if (renamed := RENAMED_KEYS.get(re.sub(r"\[\d+\]", "", full))) is not None:
            new = renamed.rpartition(".")[2]
            return f"{place}.{key}", f"key {full!r} is now called {new!r}; rename it"
        return f"{place}.{key}", f"unknown key {full!r}; {_nearest_key(key, schema, data, place)}"
    if missing:
        full = f"{shown}.{missing['key']}" if shown else missing["key"]
        choices = _choices_at(schema, data, f"{place}.{missing['key']}")
        return place, f"key {full!r} is missing; add it{', one of ' + ', '.join(choices) if choices else ''}"
    value = _value_at(data, place)
    where = f"key {shown!r}" if shown else "the whole file"
    if choice := _CHOICE.match(what):
        choices = _choices_at(schema, data, place)
        near = nearest_word(str(value), choices)
        meant = f"did you mean {near!r}?" if near else "correct the value"
        meant += f" ({choice['advice']})" if choice["advice"] else ""
        return place, f"{where}: expected one of {', '.join(choices)}, found {value!r:.60}; {meant}"
    what = _TYPES.sub(lambda names: " or ".join(_WORDS.get(name, name) for name in names[1].split(" | ")), what)
    found = "" if isinstance(value, dict | list) or ", got " in what else f", found {value!r:.60}"
    return place, f"{where}: {what[0].lower()}{what[1:]}{found}{_hint(what, value)}; correct the value"


def _split(message: str) -> tuple[str, str]:
    """Splits msgspec's message into text and place; plug-in sections are read separately, so inner places precede their own."""
    place = ""
    while found := _PLACE.search(message):
        message, place = message[: found.start()], place + found["place"].removeprefix("$")
    return message, f"${place}"


def _hint(what: str, value: object) -> str:
    """How YAML reads a value, if that is surprising."""
    if (
        "a number" in what
        and isinstance(value, str)
        and re.fullmatch(r"[-+]?\d+(\.\d*)?e[-+]?\d+", value, re.IGNORECASE)
    ):
        return "; YAML reads 1e-3 as text, write 1.0e-3"
    if "text" in what and isinstance(value, bool):
        return "; YAML reads on, off, yes and no as true or false, put it in quotes"
    if "xpected text" in what and isinstance(value, int | float | date):
        return f"; YAML reads {value} without quotes as a {'date' if isinstance(value, date) else 'number'}, put it in quotes"
    return ""


def _nearest_key(key: str, schema: Schema, data: object, place: str) -> str:
    known = _keys(_type_at(schema, data, place))
    near = nearest_word(key, known)
    if near:
        return f"did you mean {near!r}?"
    elsewhere = list(dict.fromkeys(_places_of(key, schema, schema.whole, "")))
    if elsewhere:
        return f"it belongs under {' or '.join(elsewhere)}"
    return f"known keys here: {', '.join(known)}"


def nearest_word(word: str, known: list[str]) -> str | None:
    """The known word most similar to this one, ignoring case."""
    close = difflib.get_close_matches(word.lower(), known, n=3, cutoff=NEAR)
    begun = [name for name in close if name.startswith(word.lower())]
    return next(iter(begun or close), None)


def _places_of(key: str, schema: Schema, current: Any, place: str, above: tuple[type, ...] = ()) -> Iterator[str]:
    """Every section that has a key of this name; for sections nested in their own kind, only the outer one."""
    current = schema.opened(current)
    if isinstance(current, UnionType):
        for member in current.types:
            yield from _places_of(key, schema, member, place, above)
    elif isinstance(current, StructType) and current.cls not in above:
        if key in _keys(current):
            yield (repr(place) if place else "no section") + (f" of kind {current.tag!r}" if current.tag_field else "")
        for field in current.fields:
            inner = f"{place}.{field.encode_name}".lstrip(".")
            yield from _places_of(key, schema, field.type, inner, (*above, current.cls))
    elif hasattr(current, "item_type"):
        yield from _places_of(key, schema, current.item_type, f"{place}[]", above)


def _keys(current: Any) -> list[str]:
    """The key names of a section, the kind tag first."""
    if not isinstance(current, StructType):
        return []
    tag = [current.tag_field] if current.tag_field else []
    return [*tag, *(field.encode_name for field in current.fields)]


def _choices_at(schema: Schema, data: Any, place: str) -> list[str]:
    """The valid values at a place that takes one of a few words; empty for any other place."""
    current = _type_at(schema, data, place)
    members = current.types if isinstance(current, UnionType) else (current,)
    words = [str(value) for member in members for value in getattr(member, "values", ())]
    key = place.rpartition(".")[2]
    kinds = [str(member.tag) for member in members if isinstance(member, StructType) and member.tag_field == key]
    return words or kinds


def _type_at(schema: Schema, data: Any, place: str) -> Any:
    """msgspec's type at a place; the tag key of a union has the type of the section."""
    current: Any = schema.whole
    for name, index in _steps(place):
        chosen = _chosen(current, data)
        if name and isinstance(chosen, StructType):
            if name == chosen.tag_field:
                return current
            current = next((field.type for field in chosen.fields if field.encode_name == name), chosen)
        elif index:
            current = getattr(chosen, "item_type", chosen)
        current = schema.opened(current)
        data = _inside(data, name, index)
    return _chosen(current, data)


def _value_at(data: Any, place: str) -> Any:
    for name, index in _steps(place):
        data = _inside(data, name, index)
    return data


def _steps(place: str) -> list[tuple[str, str]]:
    """(key, "") or ("", index) for each step in msgspec's notation."""
    return re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", place)


def _inside(data: Any, name: str, index: str) -> Any:
    if name:
        return data.get(name) if isinstance(data, dict) else None
    return data[int(index)] if isinstance(data, list) and index.isdigit() else None


def _chosen(current: Any, data: Any) -> Any:
    """The member of a union named by the data's tag, or its only struct."""
    if not isinstance(current, UnionType):
        return current
    structs = [member for member in current.types if isinstance(member, StructType)]
    for member in structs:
        if isinstance(data, dict) and member.tag_field and data.get(member.tag_field) == member.tag:
            return member
    return structs[0] if structs else current
