"""Configurations for others to see: as plain values, without what their fields mark as secret."""

from functools import cache
from typing import Any, Final, get_args, get_type_hints

import msgspec

SECRET: Final = msgspec.Meta(extra={"secret": True})  # in Annotated[...] around the type of a field
REMOVED: Final = "(removed)"


def without_secrets(value: Any) -> Any:
    """The value as JSON and YAML have it: structs as objects, paths as text; of a secret only whether it is there."""
    if isinstance(value, msgspec.Struct):
        secret = _secret_fields(type(value))
        plain = {
            name: REMOVED
            if name in secret and getattr(value, name) is not None
            else without_secrets(getattr(value, name))
            for name in value.__struct_fields__
        }
        tag = value.__struct_config__
        return {tag.tag_field: tag.tag, **plain} if tag.tag_field else plain
    if isinstance(value, dict):
        return {str(key): without_secrets(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_secrets(one) for one in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


@cache
def _secret_fields(kind: type[msgspec.Struct]) -> frozenset[str]:
    """Names of the fields that are marked."""
    return frozenset(name for name, hint in get_type_hints(kind, include_extras=True).items() if _is_secret(hint))


def _is_secret(hint: Any) -> bool:
    marks = getattr(hint, "__metadata__", ())
    return any(mark == SECRET for mark in marks) or any(_is_secret(inner) for inner in get_args(hint))
