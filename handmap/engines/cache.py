"""The TensorRT engine cache: what an engine is tied to, where it is stored, and whether it can be loaded on this device.

One folder per key, with the engine and a sidecar that describes it. Read here, written by `handmap build-engine`.
"""

import fcntl
import hashlib
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import IO, Annotated, Final, Literal, TypeAlias

import msgspec

from handmap.bundle.manifest import Bundle
from handmap.bundle.tensors import Tensors
from handmap.engines.cuda_driver import DeviceFacts
from handmap.types.errors import EngineUnusable

ENGINE_FILE: Final = "hand.engine"
SIDECAR_FILE: Final = "sidecar.json"

Cause: TypeAlias = Literal[
    "absent", "foreign TensorRT", "foreign GPU", "foreign L4T", "other key", "half-written", "unreadable sidecar",
    "empty", "truncated", "corrupt",
]  # fmt: skip


class BuilderOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The builder's options besides the graph."""

    workspace_mb: Annotated[int, msgspec.Meta(ge=1)] = 512
    recipe: int = 1  # incremented when `build-engine` changes how it uses the builder


class Platform(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an engine is tied to: elsewhere TensorRT does not load it, or runs it slower."""

    tensorrt: str  # "tensorrt 10.3.0"
    gpu: str
    sm_count: int
    compute_capability: str  # "8.7"
    l4t: str


class EngineKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that determines the built engine; any change requires a new engine."""

    graph_sha256: str
    batch: int
    options: BuilderOptions
    platform: Platform


class Sidecar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The description of an engine, in a file beside it."""

    format: Literal[1]
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


@dataclass(frozen=True)
class WantedEngine:
    """An engine to load, and where it would be stored."""

    cache_dir: Path
    bundle: Path
    precision: str
    key: EngineKey

    @property
    def folder(self) -> Path:
        """The folder of the engine's key."""
        return self.cache_dir / key_name(self.key)


@dataclass(frozen=True)
class StoredEngine:
    """An intact engine for this device."""

    path: Path
    sidecar: Sidecar


def engine_cache_dir(environment: Mapping[str, str] = os.environ) -> Path:
    """The default engine cache: the service's cache directory, else the user's."""
    # systemd sets it for a unit with CacheDirectory=; a colon separates several.
    of_service = environment.get("CACHE_DIRECTORY", "").partition(":")[0]
    if of_service:
        return Path(of_service) / "engines"
    of_user = Path(environment.get("XDG_CACHE_HOME", ""))
    # The XDG specification requires relative paths to be ignored.
    return (of_user if of_user.is_absolute() else Path.home() / ".cache") / "handmap" / "engines"


def tensorrt_build(trt: ModuleType) -> str:
    """The name and version of a TensorRT module, as a platform states it."""
    return f"{trt.__name__} {trt.__version__}"


def describe_platform(tensorrt: str, device: DeviceFacts, l4t: str) -> Platform:
    """The platform of a device with a build of TensorRT, as `tensorrt_build` gives it."""
    major, minor = device.compute_capability
    return Platform(tensorrt, device.name, device.sm_count, f"{major}.{minor}", l4t)


def engine_key(bundle: Bundle, precision: str, batch: int, platform: Platform, options: BuilderOptions) -> EngineKey:
    """The key of the hand engine of a bundle.

    Raises BundleError if the bundle lacks the precision.
    """
    bundle.graph_path("hand", precision)
    sha256 = bundle.hand.precisions[precision].sha256
    return EngineKey(sha256, batch, options, platform)


def key_name(key: EngineKey | Platform) -> str:
    """The sha256 of a key's JSON with sorted names; of an EngineKey, the name of the engine's folder."""
    return hashlib.sha256(msgspec.json.encode(key, order="sorted")).hexdigest()


def find_engine(wanted: WantedEngine) -> StoredEngine:
    """The engine built for this key, with its hash verified.

    Raises EngineUnusable, with a cause and a message specific to it, if there is none that can be loaded.
    """
    if not os.path.isdir(wanted.folder):  # Path.is_dir would raise if a parent folder is not accessible
        raise _absent(wanted)
    sidecar = _read_sidecar(wanted)
    if sidecar.key != wanted.key:
        raise _unusable(wanted, _cause(sidecar.key, wanted.key), _difference(sidecar.key, wanted.key))
    path = wanted.folder / ENGINE_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unusable(
            wanted, "half-written", f"{ENGINE_FILE} cannot be read ({error.strerror}), its build did not finish"
        ) from error
    if not content:
        raise _unusable(wanted, "empty", f"{ENGINE_FILE} is empty, wanted {sidecar.engine_bytes} bytes")
    if len(content) < sidecar.engine_bytes:
        found = f"{ENGINE_FILE} is truncated: {len(content)} bytes, wanted {sidecar.engine_bytes}"
        raise _unusable(wanted, "truncated", found)
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != sidecar.engine_sha256:
        found = f"{ENGINE_FILE} was changed: sha256 {sha256[:16]}..., wanted {sidecar.engine_sha256[:16]}..."
        raise _unusable(wanted, "corrupt", found)
    return StoredEngine(path, sidecar)


def hold_engine(stored: StoredEngine) -> IO[bytes]:
    """The engine file, open and with a shared lock: until it is closed, cache cleanup does not remove the engine.

    Raises OSError if it has been removed already.
    """
    file = stored.path.open("rb")
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def list_sidecars(cache_dir: Path) -> dict[Path, Sidecar]:
    """The sidecar of every folder of the cache that has a readable one, newest first."""
    found: list[tuple[int, Path, Sidecar]] = []
    for path in cache_dir.glob(f"[!.]*/{SIDECAR_FILE}"):
        try:
            sidecar = msgspec.json.decode(path.read_bytes(), type=Sidecar)
            found.append((path.stat().st_mtime_ns, path.parent, sidecar))
        except (OSError, msgspec.DecodeError):
            continue  # reported when that engine is wanted; a listing skips it
    return {folder: sidecar for _, folder, sidecar in sorted(found, key=lambda entry: entry[:2], reverse=True)}


def _read_sidecar(wanted: WantedEngine) -> Sidecar:
    try:
        content = (wanted.folder / SIDECAR_FILE).read_bytes()
    except OSError as error:
        found = f"{SIDECAR_FILE} cannot be read ({error.strerror}), its build did not finish"
        raise _unusable(wanted, "half-written", found) from error
    try:
        return msgspec.json.decode(content, type=Sidecar)
    except msgspec.DecodeError as error:
        found = f"{SIDECAR_FILE} is not a sidecar of format 1: {error}"
        raise _unusable(wanted, "unreadable sidecar", found) from error


def _absent(wanted: WantedEngine) -> EngineUnusable:
    """The error for a missing engine; names what the newest engine of the same graph was built for, if there is one."""
    for sidecar in list_sidecars(wanted.cache_dir).values():
        if sidecar.key.graph_sha256 == wanted.key.graph_sha256:
            return _unusable(wanted, _cause(sidecar.key, wanted.key), _difference(sidecar.key, wanted.key))
    return _unusable(wanted, "absent", "there is none for this graph")


def _cause(found: EngineKey, wanted: EngineKey) -> Cause:
    if found.platform.tensorrt != wanted.platform.tensorrt:
        return "foreign TensorRT"
    if _gpu(found) != _gpu(wanted):
        return "foreign GPU"
    return "foreign L4T" if found.platform.l4t != wanted.platform.l4t else "other key"


def _difference(found: EngineKey, wanted: EngineKey) -> str:
    """The difference between two keys, in words."""
    facts = [
        ("TensorRT", found.platform.tensorrt, wanted.platform.tensorrt),
        ("the GPU", _gpu(found), _gpu(wanted)),
        ("L4T", found.platform.l4t, wanted.platform.l4t),
        ("batch", found.batch, wanted.batch),
        ("a workspace of", f"{found.options.workspace_mb} MB", f"{wanted.options.workspace_mb} MB"),
        ("the builder's recipe", found.options.recipe, wanted.options.recipe),
        ("the graph with sha256", f"{found.graph_sha256[:16]}...", f"{wanted.graph_sha256[:16]}..."),
    ]
    differing = [(name, one, other) for name, one, other in facts if one != other]
    was = ", ".join(f"{name} {one}" for name, one, _ in differing)
    now = ", ".join(f"{name} {other}" for name, _, other in differing)
    return f"it was built for {was}, wanted {now}"


def _gpu(key: EngineKey) -> str:
    platform = key.platform
    return f"{platform.gpu} with {platform.sm_count} SMs of compute capability {platform.compute_capability}"


def _unusable(wanted: WantedEngine, cause: Cause, found: str) -> EngineUnusable:
    command = [
        "handmap", "build-engine", "--bundle", str(wanted.bundle), "--precision", wanted.precision,
        "--batch", str(wanted.key.batch), "--cache-dir", str(wanted.cache_dir),
    ]  # fmt: skip
    return EngineUnusable(
        cause,
        f"engine cache {str(wanted.cache_dir)!r}, {wanted.precision} engine of bundle {str(wanted.bundle)!r}: {found}; "
        f"build it with: {shlex.join(command)}",
    )
