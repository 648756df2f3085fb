"""No option of any verb takes `nan` or `inf` for a number, or nothing for a path: a loop would never end, or work in the current folder."""

from collections.abc import Iterator
from importlib.metadata import entry_points
from typing import Any

import click
import pytest

from handmap.system.options import PATH, FiniteRange, NamedPath


def options_of(kind: type[Any]) -> list[tuple[str, Any]]:
    """Name and type of all options and arguments of this kind, with those of subcommands."""

    def find(command: click.Command, name: str) -> Iterator[tuple[str, Any]]:
        if isinstance(command, click.Group):
            for inner, one in command.commands.items():
                yield from find(one, f"{name} {inner}")
        for option in command.params:
            if isinstance(option.type, kind):
                yield f"{name} {option.opts[0]}", option.type

    return [pair for entry in entry_points(group="handmap.commands") for pair in find(entry.load(), entry.name)]


def test_every_number_that_a_verb_takes_is_finite() -> None:
    found = options_of(click.types.FloatParamType)

    assert {name for name, _ in found} >= {"record --seconds", "listen --seconds", "inspect --depth-unit-mm"}
    assert [name for name, kind in found if not isinstance(kind, FiniteRange)] == []


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_what_is_not_finite_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"not a finite number|not in the range"):
        FiniteRange(min=0, min_open=True).convert(text, None, None)


def test_no_path_that_a_verb_takes_is_empty() -> None:
    found = options_of(click.Path)

    assert {name for name, _ in found} >= {"run --config", "record --out", "listen --record"}
    assert [name for name, kind in found if not isinstance(kind, NamedPath)] == []
    with pytest.raises(click.BadParameter, match="path is empty"):
        PATH.convert("", None, None)
    assert str(PATH.convert(".", None, None)) == "."
