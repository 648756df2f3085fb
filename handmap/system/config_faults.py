"""Every fault of a configuration in one pass: msgspec itself stops at the first."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import msgspec

from handmap.system.config_errors import nearest_word
from handmap.system.plugins import PluginGroup


@dataclass(frozen=True)
class Decoding:
    """What turns plain values into structs: a hook for types that msgspec does not know, and the plug-in sections by type."""

    hook: Callable[[type, Any], Any]
    groups: Mapping[type, PluginGroup]


def find_faults(data: Any, kind: Any, decoding: Decoding, place: str = "$") -> Iterator[str]:
    """msgspec's message for each value that does not fit, with its place; none if all fit.

    A section's own fault is given if all of its keys fit.
    """
    try:
        msgspec.convert(data, kind, strict=True, dec_hook=decoding.hook)
    except msgspec.ValidationError as error:
        inner = list(_faults_inside(data, kind, decoding, place))
        yield from inner or [f"{error} - at `{place}`"]


def _faults_inside(data: Any, kind: Any, decoding: Decoding, place: str) -> Iterator[str]:
    struct = _struct_of(data, kind, decoding)
    if struct is not None:
        tag_field = struct.__struct_config__.tag_field
        fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
        unknown = [key for key in data if key not in fields and key != tag_field]
        missing = [name for name, field in fields.items() if field.required and name not in data]
        meant = {nearest_word(key, missing) for key in unknown}  # a misspelled key is not missing as well
        yield from (f"Object contains unknown field `{key}` - at `{place}`" for key in unknown)
        yield from (f"Object missing required field `{name}` - at `{place}`" for name in missing if name not in meant)
        for key in data.keys() & fields.keys():
            yield from find_faults(data[key], fields[key].type, decoding, f"{place}.{key}")
    elif isinstance(data, list):
        for item in (
            one for member in _members(kind) if get_origin(member) in (tuple, list) for one in get_args(member)[:1]
        ):
            for index, value in enumerate(data):
                yield from find_faults(value, item, decoding, f"{place}[{index}]")


def _struct_of(data: Any, kind: Any, decoding: Decoding) -> type[msgspec.Struct] | None:
    """The struct that a section is decoded into; None if it is none, or nothing tells which."""
    if not isinstance(data, dict):
        return None
    if kind in decoding.groups:
        try:
            return decoding.groups[kind].struct_for(data)
        except ValueError:  # also msgspec's: its kind is missing or unknown
            return None
    structs = [one for one in _members(kind) if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    tagged = [
        one
        for one in structs
        if (tag := one.__struct_config__.tag_field) and data.get(tag) == one.__struct_config__.tag
    ]
    return next(iter(tagged or (structs if len(structs) == 1 else [])), None)


def _members(kind: Any) -> tuple[Any, ...]:
    """The types of a union, without None; any other type alone."""
    if get_origin(kind) is Annotated:
        return _members(get_args(kind)[0])
    if get_origin(kind) in (tuple, list) or not get_args(kind):
        return (kind,)
    return tuple(one for member in get_args(kind) if member is not NoneType for one in _members(member))
