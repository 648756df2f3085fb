"""Walks msgspec structs by reflection: every field, and changes to each field of content that fits them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec import inspect as types


class Mutation(NamedTuple):
    """A changed file's content, the path of the field without its root, and the struct that has it."""

    struct: str
    field: str
    path: tuple[str, ...]
    content: Any


def mutations(kind: Any, content: Any, path: tuple[str, ...] = ()) -> Iterator[Mutation]:
    """Every change to one field that the content has, of the structs of this type and all below."""
    if isinstance(kind, types.UnionType):
        kind = next((one for one in kind.types if not isinstance(one, types.NoneType)), kind)
    if isinstance(kind, types.StructType) and isinstance(content, dict):
        for field in kind.fields:
            name = field.encode_name
            if name not in content or content[name] is None:
                continue
            here = (*path, name)
            inner = list(mutations(field.type, content[name], here))
            for mutation in inner:
                yield mutation._replace(content={**content, name: mutation.content})
            for value in () if inner else _other_values(content[name]):
                yield Mutation(kind.cls.__name__, name, here, {**content, name: value})
    elif isinstance(kind, types.DictType) and isinstance(content, dict):
        for key, value in content.items():
            for mutation in mutations(kind.value_type, value, (*path, key)):
                yield mutation._replace(content={**content, key: mutation.content})
    elif isinstance(kind, types.VarTupleType) and isinstance(content, list):
        for index, value in enumerate(content):
            for mutation in mutations(kind.item_type, value, path):
                yield mutation._replace(content=[*content[:index], mutation.content, *content[index + 1 :]])


def struct_fields(kind: Any) -> Iterator[tuple[str, str]]:
    """(struct, field) of every field that holds no further struct, of this type and all below."""
    if isinstance(kind, types.UnionType):
        for one in kind.types:
            yield from struct_fields(one)
    elif isinstance(kind, types.StructType):
        for field in kind.fields:
            inner = list(struct_fields(field.type))
            yield from inner or [(kind.cls.__name__, field.encode_name)]
    elif isinstance(kind, types.DictType):
        yield from struct_fields(kind.value_type)
    elif isinstance(kind, types.VarTupleType):
        yield from struct_fields(kind.item_type)


def _other_values(value: Any) -> list[Any]:
    """A few values that differ from this one: near, far, and out of every range."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, -1]
    if isinstance(value, float):
        return [value * 1.2 + 0.01, value * 0.8 - 0.01, 7.0, -1e30]
    if isinstance(value, str):
        return [f"{value}x"]
    if isinstance(value, dict):
        return [{**value, key: other} for key, inner in value.items() for other in _other_values(inner)]
    numbers = [one for one in value if isinstance(one, float)]
    if len(numbers) == len(value) and numbers:
        return [[one * 1.2 for one in value], [*value[:-1], 1e30], [-1e30, *value[1:]]]
    return [list(reversed(value)), value[:-1]] if len(value) > 1 else [[*value, *value]]
