"""Reads YAML into frozen structs; unknown keys, duplicate keys and wrong types are refused with the line and nearest key.

A field of type `Path` is relative to the folder of its YAML file.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from handmap.system.config_errors import Schema, fault_sentence
from handmap.system.config_faults import Decoding, find_faults
from handmap.system.plugins import PluginGroup
from handmap.system.yaml_file import Document, Fault, read_document
from handmap.types.errors import ConfigError

T = TypeVar("T")

MOST_FAULTS: Final = 20  # that one message shows


def read_config(path: Path, kind: type[T], plugins: tuple[PluginGroup, ...] = ()) -> T:
    """The struct of type `kind` that the YAML file holds; plug-in sections are read by the struct of their kind.

    Raises ConfigError with every fault, its line and, for an unknown key, the nearest known one.
    """
    return decode_config(read_document(path), kind, plugins)


def decode_config(document: Document, kind: type[T], plugins: tuple[PluginGroup, ...] = ()) -> T:
    """The struct of type `kind` that one file or several merged ones hold.

    Raises ConfigError with every fault, its file and line and, for an unknown key, the nearest known one.
    """
    decoding = Decoding(_decoder(document.path.parent, plugins), {group.contract: group for group in plugins})
    schema = Schema(kind, plugins)
    faults = list(document.faults)
    for message in find_faults(document.data, kind, decoding):
        place, text = fault_sentence(message, document.data, schema)
        faults.append(Fault(document.spots.get(place, document.spots["$"]), text))
    if faults:
        order = {file: number for number, file in enumerate(document.files)}
        raise ConfigError(_joined(document, sorted(faults, key=lambda one: (order[one.spot.file], one.spot.line))))
    return msgspec.convert(document.data, kind, strict=True, dec_hook=decoding.hook)


def _joined(document: Document, faults: list[Fault]) -> str:
    """One fault as a sentence, several in a line each."""
    if len(faults) == 1:
        return f"configuration {str(faults[0].spot.file)!r}, line {faults[0].spot.line}: {faults[0].text}"
    files = {fault.spot.file for fault in faults}
    if len(files) == 1:
        start = f"configuration {str(files.pop())!r}"
        rows = [f"line {fault.spot.line}: {fault.text}" for fault in faults[:MOST_FAULTS]]
    else:
        start = f"configuration {str(document.path)!r} with its drop-ins"
        rows = [f"{str(fault.spot.file)!r}, line {fault.spot.line}: {fault.text}" for fault in faults[:MOST_FAULTS]]
    more = [f"and {len(faults) - MOST_FAULTS} more"] if len(faults) > MOST_FAULTS else []
    return "\n  ".join([f"{start} has {len(faults)} faults:", *rows, *more])


def _decoder(folder: Path, plugins: tuple[PluginGroup, ...]) -> Callable[[type, Any], Any]:
    """Decodes what msgspec cannot: paths, and plug-in sections."""
    groups = {group.contract: group for group in plugins}

    def decode(wanted: type, value: Any) -> Any:
        if wanted in groups:
            try:
                return msgspec.convert(value, groups[wanted].struct_for(value), strict=True, dec_hook=decode)
            except msgspec.ValidationError as error:
                raise ValueError(str(error)) from error  # msgspec adds the section's place
        if wanted is not Path:
            raise NotImplementedError(f"a value of type {wanted.__name__} cannot be read from YAML")
        return _path(folder, value)

    return decode


def _path(folder: Path, value: Any) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError("Expected a path")
    try:
        return (folder / Path(value).expanduser()).resolve()
    except RuntimeError as error:
        raise ValueError("Expected a path, with a user of this machine after ~") from error
