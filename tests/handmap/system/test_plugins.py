"""Plug-in sections: the requirements on a third-party package, and the errors if it does not meet them."""

import sys
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec
import pytest

from handmap.system.config import read_config
from handmap.system.plugins import PluginGroup
from handmap.types.errors import ConfigError


@runtime_checkable
class Shape(Protocol):
    def area(self) -> float: ...


SHAPES = PluginGroup("shape", "handmap.test_shapes", Shape, "another kind is drawn on request")


class Drawing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    shape: Shape
    more: tuple[Shape, ...] = ()
    title: str = ""


MODULE = """\
from pathlib import Path
from typing import Any

import msgspec


class Square(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="square"):
    side_mm: float
    file: Path | None = None

    def area(self):
        return self.side_mm**2


class Frame(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="frame"):
    width_mm: int = 3

    def area(self):
        return 0.0


class WithoutArea(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="without_area"):
    pass


class Lax(msgspec.Struct, frozen=True, tag_field="kind", tag="lax"):
    def area(self):
        return 0.0
"""
KINDS = "square = shapes:Square\nframe = shapes:Frame\n"


def install(site: Path, name: str, entries: str) -> None:
    """A package as pip would leave it in site-packages, all but its modules."""
    info = site / f"{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[{SHAPES.group}]\n{entries}")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "shapes.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "shapes", raising=False)
    return folder


def read(folder: Path, text: str) -> Any:
    (folder / "c.yaml").write_text(text)
    return read_config(folder / "c.yaml", Drawing, (SHAPES,))


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_section_is_read_by_the_struct_of_its_kind(tmp_path: Path, site: Path) -> None:
    install(site, "shapes", KINDS)

    drawing = read(tmp_path, "shape: {kind: square, side_mm: 3.0, file: f}\nmore: [{kind: frame}]\n")

    assert drawing.shape.area() == 9.0
    assert drawing.shape.file == tmp_path / "f"
    assert drawing.more[0].width_mm == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("shape: {kind: square, side: 3}\n", "line 1: unknown key 'shape.side'; did you mean 'side_mm'?"),
        (
            "title: a\nshape:\n  kind: square\n  side_mm: wide\n",
            "line 4: key 'shape.side_mm': expected a number, got text",
        ),
        ("shape: {kind: square}\n", "line 1: key 'shape.side_mm' is missing; add it"),
        ("shape: {side_mm: 3}\n", "key 'shape.kind' is missing; add it, one of frame, square"),
        ("shape: square\n", "key 'shape': expected a section of keys, got text"),
        (
            "shape: {kind: frame}\nmore:\n  - {kind: frame}\n  - {kind: frame, widht_mm: 1}\n",
            "line 4: unknown key 'more[1].widht_mm'",
        ),
        ("shape: {kind: frame, file: f}\n", "it belongs under 'shape' of kind 'square'"),
        (
            "shape: {kind: sqare}\n",
            "expected one of frame, square, found 'sqare'; did you mean 'square'? (another kind is",
        ),
        ("shape: {kind: disc}\n", "found 'disc'; correct the value (another kind is drawn on request)"),
        ("shape: {kind: 3}\n", "line 1: key 'shape.kind': expected text, got a whole number"),
    ],
)
def test_a_section_is_refused_as_any_other(tmp_path: Path, site: Path, text: str, said: str) -> None:
    install(site, "shapes", KINDS)

    assert said in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("broken = no_such_module:Struct", "cannot be loaded (ModuleNotFoundError: No module named 'no_such_module')"),
        ("broken = shapes:Absent", "cannot be loaded (AttributeError"),
        ("broken = shapes:MODULE_THAT_RAISES", "cannot be loaded"),
        ("broken = shapes:Square", "tag='broken'"),
        ("without_area = shapes:WithoutArea", "the methods of"),
        ("lax = shapes:Lax", "forbid_unknown_fields=True"),
        ("path = shapes:Path", "wanted a msgspec.Struct"),
    ],
)
def test_a_package_that_violates_the_contract_is_named(tmp_path: Path, site: Path, entry: str, said: str) -> None:
    install(site, "shapes", KINDS)
    install(site, "their-shapes", entry)
    kind = entry.split()[0]

    message = refusal(tmp_path, f"shape: {{kind: {kind}}}\n")

    assert message.startswith(f"shape kind {kind!r}: ") and "of 'their-shapes'" in message
    assert said in message
    assert read(tmp_path, "shape: {kind: frame}\n").shape.width_mm == 3  # whoever names another kind is not disturbed
    assert "known keys" in refusal(tmp_path, "shape: {kind: frame, zzz: 1}\n")


def test_a_kind_provided_by_two_packages_is_refused_with_both(tmp_path: Path, site: Path) -> None:
    install(site, "shapes", KINDS)
    install(site, "their-shapes", "square = shapes:Other")

    message = refusal(tmp_path, "shape: {kind: square, side_mm: 1}\n")

    assert "'shapes:Square' of 'shapes'" in message and "'shapes:Other' of 'their-shapes'" in message
