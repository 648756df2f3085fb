"""The command itself: its help, and its error if a verb needs a library that is not installed."""

import inspect
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from clients.source import SOURCE_PARAMETERS
from handmap.__main__ import cli, refuse_renamed
from handmap.system.renamed import RENAMED_OPTIONS
from handmap.types.errors import ConfigError
from tests.support.processes import ROOT


@pytest.mark.parametrize(
    ("library", "arguments", "extra"),
    [
        ("dex_retargeting", ["robot"], "robot"),
        ("torch", ["train", "--config", "configs/train_handmap.yaml"], "train"),
        ("onnx", ["export", "--checkpoint", "x.pt2", "--out", "o", "--samples", "s"], "export"),
        ("numba", ["synthesize", "--out", "o"], "synthesis"),
        ("rosbags", ["bench", "--bundle", "b"], "host"),
        ("viser", ["view"], "view"),
    ],
)
def test_missing_library_is_one_sentence_with_the_extra_to_install(
    library: str, arguments: list[str], extra: str
) -> None:
    # None in sys.modules is how Python itself marks a module that must not be found.
    program = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from handmap.__main__ import main\n"
        f"sys.argv = ['handmap', *{arguments!r}]\nmain()\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 78
    assert done.stderr.count("\n") == 1, done.stderr
    assert f"handmap-edge[{extra}]" in done.stderr


def groups_in(group: click.Group, name: str = "handmap") -> dict[str, click.Group]:
    """The group and all groups below it, by the words that call them."""
    context = click.Context(group)
    found = {name: group}
    for verb in group.list_commands(context):
        command = group.get_command(context, verb)
        if isinstance(command, click.Group):
            found |= groups_in(command, f"{name} {verb}")
    return found


def test_help_shows_every_verb_in_one_whole_line_of_80_columns() -> None:
    assert isinstance(cli, click.Group)
    for name, group in groups_in(cli).items():
        shown = CliRunner().invoke(group, ["--help"], terminal_width=80).stdout
        lines = shown[shown.index("Commands:") :].splitlines()[1:]

        assert len(lines) == len(group.list_commands(click.Context(group))), name
        assert [line for line in lines if line.endswith("...") or len(line) > 80] == [], name


def test_every_command_takes_its_own_parameters_and_no_retired_option() -> None:
    assert isinstance(cli, click.Group)
    for words, group in groups_in(cli).items():
        context = click.Context(group)
        for command in filter(None, (group.get_command(context, verb) for verb in group.list_commands(context))):
            if isinstance(command, click.Group):
                continue
            offered = {parameter.name for parameter in command.params}
            options = {option for parameter in command.params for option in parameter.opts}
            assert command.callback is not None
            taken = set(inspect.signature(command.callback).parameters) - {"context"}
            taken = taken - {"source"} | (set(SOURCE_PARAMETERS) if "source" in taken else set())

            assert offered == taken, command.name
            verb = f"{words} {command.name}".split()[1]
            assert options.isdisjoint(RENAMED_OPTIONS.get(verb, {})), command.name


@pytest.mark.parametrize(
    ("arguments", "old", "new"),
    [
        (["train-side", "--config", "c.yaml"], "train-side", "train-handedness"),
        (["calibrate", "quantise", "--bundle", "b"], "calibrate quantise", "calibrate quantize"),
        (["calibrate", "sensitivity", "--most-mm=1"], "--most-mm", "--max-mm"),
        (["calibrate", "select", "--hand", "left"], "--hand", "--handedness"),
    ],
)
def test_a_renamed_verb_or_option_is_refused_with_its_new_name(arguments: list[str], old: str, new: str) -> None:
    done = subprocess.run([sys.executable, "-m", "handmap", *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 78
    assert done.stderr == f"handmap: {old!r} is now called {new!r}; use that\n"


def test_what_one_verb_has_renamed_another_may_have() -> None:
    refuse_renamed(["robot", "--hand", "plain"])
    with pytest.raises(ConfigError):
        refuse_renamed(["calibrate", "select", "--hand", "left"])
