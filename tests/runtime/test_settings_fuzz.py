"""Configurations that nobody would write: each is read, or refused by a ConfigError; nothing else is raised, nothing hangs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handmap.types.errors import ConfigError
from runtime.settings import read_settings

SHIPPED = [
    (Path(__file__).resolve().parents[2] / "configs" / name).read_text()
    for name in ("laptop_demo.yaml", "realsense.yaml")
]
ODD: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.integers(-(10**400), 10**400) | st.floats() | st.text(max_size=20)
    | st.just([]) | st.just({}) | st.lists(st.integers(), max_size=3) | st.sampled_from(["0x" + "f" * 500, "1e999", "~", "a: b"])
)  # fmt: skip
TOKENS = [
    "&a ",
    "*a",
    "<<: ",
    "!!python/object:os.system ",
    "\t",
    "\0",
    "- ",
    ": ",
    "{",
    "]",
    "'",
    "%YAML 1.2\n---\n",
    "...\n",
    "\ufeff",
]


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every value of a document."""
    children = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(found for key, child in children for found in places(child, (*path, key)))]


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A shipped configuration with values replaced, keys added and removed."""
    document = yaml.safe_load(draw(st.sampled_from(SHIPPED)))
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from(places(document)[1:]))
        parent = document
        for key in parents:
            parent = parent[key]
        change = draw(st.sampled_from(["replace", "add", "remove"]))
        if change == "remove":
            del parent[last]
        elif change == "add" and isinstance(parent, dict):
            parent[draw(st.text(max_size=8))] = draw(ODD)
        else:
            parent[last] = draw(ODD)
        if len(places(document)) < 2:
            break
    return str(yaml.safe_dump(document, allow_unicode=draw(st.booleans())))


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """The text of a shipped configuration with pieces cut out, doubled, or replaced by YAML's odder syntax, or by any bytes."""
    text = draw(st.sampled_from(SHIPPED)).encode()
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(start + 40, len(text))))
        new = draw(
            st.sampled_from([token.encode() for token in TOKENS]) | st.binary(max_size=4) | st.just(text[start:end] * 2)
        )
        text = text[:start] + new + text[end:]
    return text


def read_or_refuse(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        read_settings(path)
    except ConfigError as error:
        assert str(path) in str(error)


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents())
def test_odd_values_are_read_or_refused(document: str, tmp_path: Path) -> None:
    read_or_refuse(tmp_path / "c.yaml", document.encode())


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=texts())
def test_odd_syntax_is_read_or_refused(content: bytes, tmp_path: Path) -> None:
    read_or_refuse(tmp_path / "c.yaml", content)


@pytest.mark.parametrize("text", SHIPPED)
def test_what_is_changed_here_is_valid_itself(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text)

    read_settings(tmp_path / "c.yaml")
