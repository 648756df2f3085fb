"""The TensorRT engine cache: what an engine is tied to, where it is stored, and whether it can be loaded on this device.

One folder per key, with the engine and a sidecar that describes it. Read here, written by `handmap build-engine`.
"""

import fcntl
import hashlib
import logging
import os
import shlex
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import IO, Final, Literal

import msgspec

from handmap.bundle.manifest import Bundle
from handmap.bundle.tensors import Tensors
from handmap.engines.engine_keys import (
    Cause,
    EngineKey,
    GraphName,
    cause_of,
    difference_between,
    engine_key,
    key_name,
)
from handmap.files.reading import NotJson, open_regular, read_bytes, read_json
from handmap.types.errors import EngineUnusable

LOG: Final = logging.getLogger("handmap.engines")

SIDECAR_FILE: Final = "sidecar.json"
MAX_ENGINE_BYTES: Final = 8 << 30


class Sidecar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The description of an engine, in a file beside it."""

    format: Literal[1, 2]  # 1: before there were engines of the palm graph
    key: EngineKey
    bundle: str  # the folder, resolved
    bundle_id: str
    precision: str
    engine_sha256: str
    engine_bytes: int
    tensors: Tensors
    golden_mm: float | None  # largest distance to the golden samples
    golden_note: str  # number of samples, or why none was replayed
    layers_note: str  # the layer file, or why there is none
    build_s: float
    warnings: tuple[str, ...] = msgspec.field(name="said")  # of TensorRT, each line once
    graph: GraphName = "hand"


@dataclass(frozen=True)
class WantedEngine:
    """An engine to load, and where it would be stored."""

    cache_dir: Path
    bundle: Path
    precision: str
    key: EngineKey
    graph: GraphName = "hand"
    build: tuple[str, int] | None = (
        None  # precision and batch to build it with, where they are those of the hand's engine
    )

    @property
    def file(self) -> str:
        """The engine's file name in its folder."""
        return engine_file(self.graph)

    @property
    def folder(self) -> Path:
        """The folder of the engine's key."""
        return self.cache_dir / key_name(self.key)


@dataclass(frozen=True)
class StoredEngine:
    """An intact engine for this device."""

    path: Path
    sidecar: Sidecar


def engine_file(graph: str) -> str:
    """The file name of a graph's engine: hand.engine or palm.engine."""
    return f"{graph}.engine"


def palm_beside(hand: WantedEngine, bundle: Bundle, precision: str) -> WantedEngine:
    """The palm engine that belongs to a hand engine, and is built by the same command.

    Raises BundleError if the bundle lacks the precision.
    """
    key = engine_key(bundle, precision, 1, hand.key.platform, hand.key.options, "palm")
    return replace(hand, precision=precision, key=key, graph="palm", build=(hand.precision, hand.key.batch))


def find_engine(wanted: WantedEngine) -> StoredEngine:
    """The engine built for this key, with its hash verified.

    Raises EngineUnusable, with a cause and a message specific to it, if there is none that can be loaded.
    """
    if not os.path.isdir(wanted.folder):  # Path.is_dir would raise if a parent folder is not accessible
        raise _absent(wanted)
    sidecar = _read_sidecar(wanted)
    if sidecar.key != wanted.key:
        raise _unusable(wanted, cause_of(sidecar.key, wanted.key), difference_between(sidecar.key, wanted.key))
    path = wanted.folder / wanted.file
    try:
        content = read_bytes(path, MAX_ENGINE_BYTES)
    except OSError as error:
        raise _half_written(wanted, wanted.file, error) from error
    if not content:
        raise _unusable(wanted, "empty", f"{wanted.file} is empty, wanted {sidecar.engine_bytes} bytes")
    if len(content) < sidecar.engine_bytes:
        found = f"{wanted.file} is truncated: {len(content)} bytes, wanted {sidecar.engine_bytes}"
        raise _unusable(wanted, "truncated", found)
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != sidecar.engine_sha256:
        found = f"{wanted.file} was changed: sha256 {sha256[:16]}..., wanted {sidecar.engine_sha256[:16]}..."
        raise _unusable(wanted, "corrupt", found)
    return StoredEngine(path, sidecar)


def hold_engine(stored: StoredEngine) -> IO[bytes]:
    """The engine file, open and with a shared lock: until it is closed, cache cleanup does not remove the engine.

    Raises OSError if it has been removed already.
    """
    file = os.fdopen(open_regular(stored.path), "rb")
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def list_sidecars(cache_dir: Path) -> dict[Path, Sidecar]:
    """The sidecar of every folder of the cache that has a readable one, newest first."""
    found: list[tuple[int, Path, Sidecar]] = []
    for path in cache_dir.glob(f"[!.]*/{SIDECAR_FILE}"):
        try:
            found.append((path.stat().st_mtime_ns, path.parent, read_json(path, Sidecar)))
        except (OSError, NotJson) as error:  # that engine's fault alone; refused when it is wanted
            _name_once(path, str(error))
    return {folder: sidecar for _, folder, sidecar in sorted(found, key=lambda entry: entry[:2], reverse=True)}


def _read_sidecar(wanted: WantedEngine) -> Sidecar:
    try:
        return read_json(wanted.folder / SIDECAR_FILE, Sidecar)
    except OSError as error:
        raise _half_written(wanted, SIDECAR_FILE, error) from error
    except NotJson as error:
        found = f"{SIDECAR_FILE} is not a sidecar of format 1 or 2: {error}"
        raise _unusable(wanted, "unreadable sidecar", found) from error


@cache
def _name_once(sidecar: Path, why: str) -> None:
    LOG.warning("engine_skipped=%s reason=%r", sidecar.parent, why)


def _absent(wanted: WantedEngine) -> EngineUnusable:
    """The error for a missing engine; names what the newest engine of the same graph was built for, if there is one."""
    for sidecar in list_sidecars(wanted.cache_dir).values():
        if sidecar.key.graph_sha256 == wanted.key.graph_sha256:
            return _unusable(wanted, cause_of(sidecar.key, wanted.key), difference_between(sidecar.key, wanted.key))
    return _unusable(wanted, "absent", "there is none for this graph")


def _half_written(wanted: WantedEngine, name: str, error: OSError) -> EngineUnusable:
    found = f"{name} cannot be read ({error.strerror}), its build did not finish"
    return _unusable(wanted, "half-written", found)


def _unusable(wanted: WantedEngine, cause: Cause, found: str) -> EngineUnusable:
    precision, batch = wanted.build or (wanted.precision, wanted.key.batch)
    command = [
        "handmap", "build-engine", "--bundle", str(wanted.bundle), "--precision", precision,
        "--batch", str(batch), "--cache-dir", str(wanted.cache_dir),
    ]  # fmt: skip
    name = wanted.precision if wanted.graph == "hand" else f"{wanted.precision} {wanted.graph}"
    return EngineUnusable(
        cause,
        f"engine cache {str(wanted.cache_dir)!r}, {name} engine of bundle {str(wanted.bundle)!r}: {found}; "
        f"build it with: {shlex.join(command)}",
    )
