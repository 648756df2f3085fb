"""Configurations and texts for others to see: without what is marked as secret, or looks like it."""

import re
from functools import cache
from typing import Any, Final, get_args, get_type_hints

import msgspec
import yaml

SECRET: Final = msgspec.Meta(extra={"secret": True})  # in Annotated[...] around the type of a field
REMOVED: Final = "(removed)"
# Of keys that no struct of ours marks, such as those of other packages' cameras, or ones that were mistyped.
_LIKELY: Final = re.compile(r"key|secret|token|pass|pwd|psk|auth|credential", re.IGNORECASE)
# A key of ours has 64 digits; a message may cut it short.
_LONG_HEX: Final = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{32,}")
_IN_URL: Final = re.compile(r"(?<=://)[^/\s@'\"]+(?=@)")  # user and password


def without_secrets(value: Any) -> Any:
    """The value as JSON and YAML have it: structs as objects, paths as text; of a secret only whether it is there."""
    if isinstance(value, msgspec.Struct):
        secret = _secret_fields(type(value))
        plain = {
            name: REMOVED
            if (name in secret or _LIKELY.search(name)) and getattr(value, name) is not None
            else without_secrets(getattr(value, name))
            for name in value.__struct_fields__
        }
        tag = value.__struct_config__
        return {tag.tag_field: tag.tag, **plain} if tag.tag_field else plain
    if isinstance(value, dict):
        return {
            str(key): REMOVED if _LIKELY.search(str(key)) and one is not None else without_secrets(one)
            for key, one in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [without_secrets(one) for one in value]
    return value if value is None or isinstance(value, (bool, int, float)) else without_keys(str(value))


def without_keys(text: str) -> str:
    """A text without what could be a key, 32 and more hexadecimal digits in a row, and without passwords in URLs."""
    return _IN_URL.sub(REMOVED, _LONG_HEX.sub(REMOVED, text))


def redacted_yaml(text: str) -> str:
    """A YAML text without comments and without the values of keys that are, or may be, secret.

    Raises ValueError if it is not YAML.
    """
    try:
        data = yaml.SafeLoader(text).get_single_data()
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"it is not YAML ({type(error).__name__})") from error
    return yaml.safe_dump(without_secrets(data), sort_keys=False, allow_unicode=True)


@cache
def _secret_fields(kind: type[msgspec.Struct]) -> frozenset[str]:
    """Names of the fields that are marked."""
    return frozenset(name for name, hint in get_type_hints(kind, include_extras=True).items() if _is_secret(hint))


def _is_secret(hint: Any) -> bool:
    marks = getattr(hint, "__metadata__", ())
    return any(mark == SECRET for mark in marks) or any(_is_secret(inner) for inner in get_args(hint))
