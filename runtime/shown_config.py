"""A configuration as the daemon understands it, each value with the file and line that it comes from."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from handmap.system.drop_ins import find_drop_ins, read_layers
from handmap.system.yaml_file import Spot

from .settings import decode_settings

DEFAULT: Final = "default"
COMMENT_COLUMN: Final = 56  # where the origins stand, unless the text before is longer


@dataclass(frozen=True)
class ShownConfig:
    """What `handmap config show` prints; a value's place is written `publish.targets[0].port`."""

    files: tuple[Path, ...]  # in the order in which they were merged
    passed_over: tuple[Path, ...]  # files beside the drop-ins that are none
    values: dict[str, Any]  # the whole configuration, defaults included, in plain types
    origins: dict[str, Spot]  # by place; what has none is a default

    def as_json(self) -> dict[str, object]:
        """Files, the configuration, and the origin of each of its values."""
        rows = {place: {"value": value, "from": self._origin(place)} for place, value in _leaves(self.values, "")}
        return {"files": [*map(str, self.files)], "passed_over": [*map(str, self.passed_over)], "values": rows}

    def as_yaml(self) -> str:
        """A configuration file that means the same, with the origins as comments."""
        lines = [f"# {_printable(path)}" for path in self.files]
        lines += [f"# passed over: {_printable(path)}" for path in self.passed_over]
        for text, place in _lines(self.values, "", 0):
            lines.append(f"{text:<{COMMENT_COLUMN}}# {self._origin(place)}" if place else text)
        return "\n".join(lines)

    def _origin(self, place: str) -> str:
        spot = self.origins.get(place)
        return DEFAULT if spot is None else f"{_printable(_short(spot.file, self.files[0]))}:{spot.line}"


def show_config(path: Path) -> ShownConfig:
    """Reads a configuration and its drop-ins.

    Raises ConfigError if the daemon would refuse them.
    """
    document = read_layers(path)
    values = msgspec.to_builtins(decode_settings(document), enc_hook=str)
    origins = {place.removeprefix("$."): spot for place, spot in document.spots.items()}
    return ShownConfig(document.files, tuple(find_drop_ins(path)[1]), values, origins)


def _short(file: Path, first: Path) -> str:
    """A file's name from the folder of the configuration."""
    return str(file.relative_to(first.parent)) if file.is_relative_to(first.parent) else str(file)


def _printable(name: str | Path) -> str:
    """A name that stays within its comment, whatever it holds."""
    return str(name) if str(name).isprintable() else repr(str(name))


def _is_nested(value: object) -> bool:
    """Whether a value gets lines of its own: a section, or a list of sections."""
    return bool(value) and (isinstance(value, dict) or (isinstance(value, list | tuple) and isinstance(value[0], dict)))


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if not _is_nested(value):
        yield place, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{place}.{key}".lstrip("."))
    else:
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{place}[{index}]")


def _lines(value: Any, place: str, depth: int) -> Iterator[tuple[str, str]]:
    """The lines of a nested value, each with the place of what it ends with, or none."""
    indent = "  " * depth
    if isinstance(value, dict):
        for key, inner in value.items():
            here = f"{place}.{key}".lstrip(".")
            if _is_nested(inner):
                yield f"{indent}{key}:", ""
                yield from _lines(inner, here, depth + 1)
            else:
                yield f"{indent}{key}: {_scalar(inner)} ", here
    else:
        for index, inner in enumerate(value):
            first = f"{indent}- "
            for text, here in _lines(inner, f"{place}[{index}]", depth + 1):
                yield first + text.removeprefix(f"{indent}  "), here
                first = f"{indent}  "


def _scalar(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    text: str = yaml.safe_dump(plain, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
