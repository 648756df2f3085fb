"""What messages advise exists: every command with its options, every module, every key of the configuration."""

import ast
import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from handmap.system.renamed import RENAMED_OPTIONS

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("handmap", "runtime", "export", "calibration", "training", "flash", "clients")
COMMAND = re.compile(r"\bhandmap ((?:[a-z][a-z-]+ ?){1,2})((?: ?(?:--?[a-z][a-z-]*|'[^']*'|\{\}|[A-Z]+))*)")
IN_CONFIG = re.compile(r"in a configuration: ([a-z_]+(?:\.[a-z_]+)+)")
MODULE = re.compile(r"\bpython3? -m ([a-z_]+(?:\.[a-z_]+)+)")
RETIRED = {option for options in RENAMED_OPTIONS.values() for option in options}
OF_PYTHON = {"--system-site-packages"}  # of its own venv
SAID_AFTER = re.compile(r"(?:with|run|by|use|see|try|start|of)[: ]+[`']?$|[`']$|: $|^$|sudo $|&& $|ExecStart=$|\n$")


def texts() -> Iterator[tuple[Path, str]]:
    """Every string of the program but docstrings; `{}` for what is filled in."""
    for part in PARTS:
        for path in sorted((ROOT / part).rglob("*.py")):
            for text in _strings(ast.parse(path.read_text())):
                yield path.relative_to(ROOT), text


def _strings(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        return
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield node.value
        return
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
            yield from _strings(child)


def commands() -> dict[str, click.Command]:
    """Every verb by its words, `calibrate select` too."""
    verbs: dict[str, click.Command] = {}
    for entry in entry_points(group="handmap.commands"):
        verb = entry.load()
        verbs[entry.name] = verb
        if isinstance(verb, click.Group):
            verbs |= {f"{entry.name} {name}": one for name, one in verb.commands.items()}
    return verbs


def advised() -> list[tuple[str, str, str]]:
    """File, words after `handmap`, options, of every command in a message."""
    found = []
    for path, text in texts():
        for match in COMMAND.finditer(text):
            if SAID_AFTER.search(text[: match.start()]):
                found.append((str(path), match[1].strip(), match[2]))
    return found


@pytest.mark.parametrize(("path", "words", "options"), sorted(set(advised())))
def test_advised_command_exists_with_its_options(path: str, words: str, options: str) -> None:
    verbs = commands()
    name = words if words in verbs else words.partition(" ")[0]
    assert name in verbs, f"{path} advises 'handmap {words}'"
    known = {option for parameter in verbs[name].params for option in parameter.opts} | {"--help"}

    assert set(re.findall(r"--?[a-z][a-z-]*", re.sub(r"'[^']*'", "", options))) <= known, (
        f"{path}: handmap {words}{options}"
    )


def test_options_that_are_named_alone_exist_somewhere() -> None:
    known = {option for verb in commands().values() for parameter in verb.params for option in parameter.opts}
    stated = {
        (str(path), option)
        for path, text in texts()
        for option in re.findall(r"(?:with|state|by|pass|or|override with) (--[a-z][a-z-]+)", text)
        if not str(path).startswith(("flash/", "export/nvrtc"))
    }

    assert len(stated) > 8
    assert [one for one in sorted(stated) if one[1] not in known | RETIRED | OF_PYTHON] == []


def test_keys_that_messages_name_are_in_the_reference() -> None:
    reference = (ROOT / "docs" / "configuration.md").read_text()
    named = {key for _, text in texts() for key in IN_CONFIG.findall(text)}

    assert {"camera.topic", "camera.depth_unit_mm", "camera.intrinsics"} <= named
    assert [key for key in sorted(named) if f"`{key.rpartition('.')[2]}`" not in reference] == []


def test_modules_that_messages_name_exist() -> None:
    named = {name for _, text in texts() for name in MODULE.findall(text)}

    assert "flash.write_locks" in named
    assert [name for name in sorted(named) if find_spec(name) is None] == []
