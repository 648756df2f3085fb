"""Generates the configuration reference, docs/configuration.md, from the structs: type, range and default from msgspec,
the description from the comment at the field.

python -m runtime.reference        rewrites it
"""

import ast
import inspect
import io
import textwrap
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect as types

from handmap.files.atomic import write_file
from handmap.recording.cameras import CameraConfig

from .cameras.realsense import RealSenseConfig
from .cameras.replay import ReplayConfig
from .faults.camera import FaultyConfig
from .reload import LIVE
from .settings import Settings

UNITS: Final = {
    "_mm": "mm", "_px": "px", "_s": "s", "_ms": "ms", "_us": "µs", "_c": "°C", "_hz": "Hz", "fps": "1/s",
}  # fmt: skip
WIDTH: Final = 120  # columns of the document
# The built-in kinds of a section that packages can add kinds to.
OPEN: Final[dict[type, tuple[type, ...]]] = {CameraConfig: (ReplayConfig, RealSenseConfig, FaultyConfig)}
INTRODUCTION: Final = """# Configuration of the daemon

Every key of the file passed to `handmap run --config PATH`. This page is generated from the code by
`python -m runtime.reference`, and a test keeps it up to date.

The file is YAML, and paths in it are relative to its folder. Keys that are left out take their defaults. Unknown keys,
duplicate keys, and values of the wrong type or out of range are refused, with the line and what was probably meant; so
are aliases and tags. `handmap run --config PATH --validate` checks the file, the bundle and everything else that can be
checked without opening the camera.

`handmap config show --config PATH` prints every value with the file and line it comes from, or `default`.

## Drop-ins

Files in `config.d/*.yaml` beside `config.yaml` are merged over it in the order of their names (of the bytes:
`10-fleet.yaml` before `50-site.yaml`, `9.yaml` after `10.yaml`). Upgrades never touch them, so a fleet's own settings
belong there. An example, `/etc/handmap/config.d/50-site.yaml`:

    publish:
      targets: [{host: 192.168.1.20}]
    tracking:
      max_hands: 2

* Sections are merged key by key. Any other value, lists included, replaces the one below; so does a section whose
  `kind` differs, as of the camera.
* Each file has a folder of its own: `left.d` for `left.yaml`, which `handmap@left` reads. Instances do not read
  `config.d`.
* Every fault is refused with the file and line of the drop-in. A drop-in that this user cannot read, or a folder in its
  place, is refused too. An empty one changes nothing.
* Only names that end in `.yaml` are read, up to 64. `.yml` and `.YAML` are refused; hidden files, `50-site.yaml~`,
  `50-site.yaml.dpkg-old` and the like are passed over, and `config show` lists them.
* Paths are relative to the folder of `config.yaml`, in drop-ins too. Everything that reads the configuration reads
  drop-ins: `run`, `reload`, `doctor`, `status`, `build-engine`. A reload takes new, changed and removed ones.

## More

The cameras below are built in; [cameras.md](cameras.md) shows how to add others.

On SIGHUP (`systemctl reload`) the files are reloaded. An invalid one is refused, the log and `handmap status` show why,
and the old configuration stays active. Each section states what a change to it affects; heartbeats continue throughout.
"""


def reference() -> str:
    """The whole document."""
    lines = [INTRODUCTION, "## The file", "", *_table(Settings)]
    done: dict[type, str] = {}
    for field in _fields(Settings):
        for title, struct in _structs(field.type, field.encode_name):
            lines += _section(title, struct, done, _cost(field.encode_name))
    return "\n".join(lines) + "\n"


def descriptions(struct: type) -> dict[str, str]:
    """The description of each field, from the comment on its own lines or else the lines above it."""
    source = inspect.cleandoc("\n" + inspect.getsource(struct))
    comments = {
        token.start[0]: token for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }  # fmt: skip
    found: dict[str, str] = {}
    (body,) = ast.parse(source).body
    assert isinstance(body, ast.ClassDef)
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.end_lineno is not None:
            lines = range(node.lineno, node.end_lineno + 1)
            texts = [comments[line].string for line in lines if line in comments]
            texts = texts or list(_block_above(comments, node.lineno))
            found[node.target.id] = " ".join(text.lstrip("# ") for text in texts)
    return found


def _block_above(comments: dict[int, tokenize.TokenInfo], line: int) -> Iterator[str]:
    first = line
    while first - 1 in comments and comments[first - 1].line.lstrip().startswith("#"):
        first -= 1
    return (comments[number].string for number in range(first, line))


def _section(title: str, struct: type, done: dict[type, str], cost: str = "") -> list[str]:
    if struct in done:
        return ["", f"## {title}", "", f"The same keys as {done[struct]}."]
    done[struct] = title
    lines = ["", f"## {title}", "", _first_sentence(struct), *([cost] if cost else []), "", *_table(struct)]
    for field in _fields(struct):
        for inner, nested in _structs(field.type, f"{title.split(', kind')[0]}.{field.encode_name}"):
            if nested is not struct:  # a section never holds its own kind
                lines += _section(inner, nested, done)
    return lines


def _first_sentence(struct: type) -> str:
    return " ".join(inspect.getdoc(struct).split("\n\n")[0].split()) if inspect.getdoc(struct) else ""  # type: ignore[union-attr]


def _cost(section: str) -> str:
    if section == "tracking":
        return "On reload: applied between two frames; changes to `hand` and `max_hands` reopen the camera and the engines."
    if section in LIVE:
        return "On reload: applied without interruption."
    return f"On reload: {'the camera is' if section == 'camera' else 'the camera and the engines are'} reopened."


def _fields(struct: type) -> tuple[Any, ...]:
    found = types.type_info(struct)
    assert isinstance(found, types.StructType)
    return found.fields


def _table(struct: type) -> list[str]:
    meanings = descriptions(struct)
    lines, notes = ["| key | meaning | value | unit | default |", "|---|---|---|---|---|"], list[str]()
    info = types.type_info(struct)
    assert isinstance(info, types.StructType)
    if info.tag_field:
        lines.append(f"| `{info.tag_field}` | selects this kind | `{info.tag}` |  | must be given |")
    for field in info.fields:
        unit = next((unit for suffix, unit in UNITS.items() if field.encode_name.endswith(suffix)), "")
        cells = [f"`{field.encode_name}`", meanings.get(field.name, ""), _value(field.type), unit, _default(field)]
        if len(_row(cells)) > WIDTH:
            notes += _move_to_note(cells)
        lines.append(_row(cells))
    return [*lines, *([""] if notes else []), *notes]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _move_to_note(cells: list[str]) -> list[str]:
    """Replaces the longer of meaning and value in a row that is too wide; returns the lines of a note with its text."""
    wide = 1 if len(cells[1]) > len(cells[2]) else 2
    note = f"- {cells[0]}: {cells[wide]}"
    cells[wide] = "see below"
    return textwrap.wrap(note, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _structs(kind: Any, title: str) -> Iterator[tuple[str, type]]:
    """Title and type of every section that a key can hold."""
    if isinstance(kind, types.StructType):
        yield (f"{title}, kind: {kind.tag}" if kind.tag_field else title), kind.cls
    elif isinstance(kind, types.UnionType):
        for member in kind.types:
            yield from _structs(member, title)
    elif isinstance(kind, types.CustomType):
        for struct in OPEN.get(kind.cls, ()):
            yield from _structs(types.type_info(struct), title)
    elif isinstance(kind, types.VarTupleType | types.ListType):
        yield from _structs(kind.item_type, f"{title}[]")


def _value(kind: Any) -> str:
    if isinstance(kind, types.Metadata):  # such as that it is secret
        return _value(kind.type)
    if isinstance(kind, types.UnionType):
        words = list(dict.fromkeys(_value(member) for member in kind.types if not isinstance(member, types.NoneType)))
        return " or ".join(words) + ("; or null" if any(isinstance(one, types.NoneType) for one in kind.types) else "")
    if isinstance(kind, types.LiteralType):
        return " or ".join(f"`{value}`" for value in kind.values)
    if isinstance(kind, types.VarTupleType | types.ListType):
        return f"list of {_value(kind.item_type)}{_range(kind.min_length, kind.max_length, ' items')}"
    if isinstance(kind, types.IntType):
        return "whole number" + _bounds(kind)
    if isinstance(kind, types.FloatType):
        return "number" + _bounds(kind)
    if isinstance(kind, types.CustomType):
        return "section" if kind.cls in OPEN else "path"
    if isinstance(kind, types.BoolType):
        return "true or false"
    return "section" if isinstance(kind, types.StructType) else "text"


def _bounds(kind: types.IntType | types.FloatType) -> str:
    if kind.gt is not None:
        return f", above {kind.gt:g}" + ("" if kind.le is None else f" to {kind.le:g}")
    return _range(kind.ge, kind.le, "")


def _range(low: float | None, high: float | None, unit: str) -> str:
    if low is None and high is None:
        return ""
    if high is None:
        return f", at least {low:g}{unit}"
    return f", at most {high:g}{unit}" if low is None else f", {low:g} to {high:g}{unit}"


def _default(field: Any) -> str:
    if field.required:
        return "must be given"
    value = field.default
    if isinstance(value, msgspec.Struct):
        return "all defaults"
    if isinstance(value, Path):
        return f"`{value}`"
    return f"`{msgspec.json.encode(value).decode()}`" if not isinstance(value, str) else f"`{value}`"


if __name__ == "__main__":
    write_file(Path(__file__).parent.parent / "docs" / "configuration.md", reference().encode())
