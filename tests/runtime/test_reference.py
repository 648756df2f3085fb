"""The configuration reference matches the code, and describes every key."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import inspect as types

from runtime.reference import descriptions, reference
from runtime.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def every_struct(kind: Any) -> set[type]:
    if isinstance(kind, types.StructType):
        return {kind.cls}.union(*(every_struct(field.type) for field in kind.fields))
    if isinstance(kind, types.UnionType):
        return set().union(*(every_struct(member) for member in kind.types))
    return every_struct(kind.item_type) if hasattr(kind, "item_type") else set()


STRUCTS = sorted(every_struct(types.type_info(Settings)), key=lambda struct: struct.__name__)


def test_the_reference_is_up_to_date() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text()

    assert written == reference(), "rewrite it with: python -m runtime.reference"


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_key_has_a_description(struct: type[msgspec.Struct]) -> None:
    said = descriptions(struct)

    assert [name for name in struct.__struct_fields__ if not said.get(name)] == []


def test_a_comment_is_found_beside_above_and_inside_brackets() -> None:
    assert descriptions(Described) == {"beside": "this one", "above": "that one", "inside": "in here", "bare": ""}


class Described(msgspec.Struct):
    beside: int  # this one
    # that one
    above: int
    inside: Annotated[
        int,
        msgspec.Meta(ge=1),  # in here
    ]
    bare: int


def test_values_ranges_units_and_defaults_match_the_structs() -> None:
    text = reference()

    assert (
        "| `hysteresis_c` | how far it must cool down before the rate goes up again | number, 0.5 to 20 | °C | `4.0` |"
        in text
    )
    assert "whole number, 1 to 65535; or null |  | `9400` |" in text
    assert "| `kind` | selects this kind | `replay` |  | must be given |" in text
    assert "## publish.targets[]" in text
