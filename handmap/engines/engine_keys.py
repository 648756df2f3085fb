"""What an engine is tied to: its key in the engine cache, and what sets two keys apart."""

import hashlib
from types import ModuleType
from typing import Annotated, Literal, TypeAlias

import msgspec

from handmap.bundle.manifest import Bundle
from handmap.engines.cuda_driver import DeviceFacts

GraphName: TypeAlias = Literal["hand", "palm"]
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


def tensorrt_build(trt: ModuleType) -> str:
    """The name and version of a TensorRT module, as a platform states it."""
    return f"{trt.__name__} {trt.__version__}"


def describe_platform(tensorrt: str, device: DeviceFacts, l4t: str) -> Platform:
    """The platform of a device with a build of TensorRT, as `tensorrt_build` gives it."""
    major, minor = device.compute_capability
    return Platform(tensorrt, device.name, device.sm_count, f"{major}.{minor}", l4t)


def engine_key(
    bundle: Bundle, precision: str, batch: int, platform: Platform, options: BuilderOptions, graph: GraphName = "hand"
) -> EngineKey:
    """The key of an engine of a bundle.

    Raises BundleError if the bundle lacks the precision.
    """
    bundle.graph_path(graph, precision)
    sha256 = bundle.manifest.graphs.named()[graph].precisions[precision].sha256
    return EngineKey(sha256, batch, options, platform)


def key_name(key: EngineKey | Platform) -> str:
    """The sha256 of a key's JSON with sorted names; of an EngineKey, the name of the engine's folder."""
    return hashlib.sha256(msgspec.json.encode(key, order="sorted")).hexdigest()


def cause_of(found: EngineKey, wanted: EngineKey) -> Cause:
    """Why an engine with one key is not the one with the other."""
    if found.platform.tensorrt != wanted.platform.tensorrt:
        return "foreign TensorRT"
    if _gpu(found) != _gpu(wanted):
        return "foreign GPU"
    return "foreign L4T" if found.platform.l4t != wanted.platform.l4t else "other key"


def difference_between(found: EngineKey, wanted: EngineKey) -> str:
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
