"""From an ONNX graph to a serialized engine: one path for TensorRT 10.3 to 11.4 and TensorRT-RTX.

Networks are strongly typed: precision lives in the graph, so no builder flag chooses any. The library is an argument.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from handmap.bundle.tensors import Tensors
from handmap.engines.cache import BuilderOptions
from handmap.engines.cuda_driver import DeviceFacts
from handmap.engines.tensorrt_log import TensorrtLog, tensorrt_log
from handmap.types.errors import BuildError, ModelError

MIB: Final = 1 << 20
MAX_SHOWN: Final = 6


@dataclass(frozen=True)
class Backend:
    """A TensorRT module and what it builds for."""

    trt: ModuleType
    build: str  # "tensorrt 10.3.0"
    device: DeviceFacts | None  # None: no driver here, the builder is told a device
    has_timing_cache: bool  # TensorRT-RTX has the calls, but they do nothing and warn


@dataclass(frozen=True)
class GraphSource:
    """A graph to build, and its tensors with the batch fixed."""

    name: str  # how messages call it
    onnx: bytes
    tensors: Tensors


@dataclass(frozen=True)
class EnginePlan:
    """A serialized engine, the timing cache after it was built (empty: none), and what TensorRT warned of."""

    engine: bytes
    timing: bytes
    warnings: tuple[str, ...]


def build_plan(
    backend: Backend, source: GraphSource, options: BuilderOptions, timing: bytes, monitor: object | None
) -> EnginePlan:
    """The engine of a graph with one profile, min = opt = max = the source's tensors.

    Raises ModelError if the parser refuses the graph or finds other tensors in it, BuildError if the builder does; both
    carry what TensorRT logged.
    """
    trt, log = backend.trt, tensorrt_log(backend.trt)
    log.take_lines()  # what earlier work left
    builder = _create(trt.Builder, log, source.name)
    network = _parse(trt, log, builder, source)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb * MIB)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    # TF32 has the 10 fraction bits of FP16; a graph that says FP32 means it.
    config.clear_flag(trt.BuilderFlag.TF32)
    if backend.device is None:
        _aim_without_device(trt, config)
    if monitor is not None:
        config.progress_monitor = monitor
    if backend.has_timing_cache:
        _set_timing_cache(config, log, source.name, timing)
    profile = builder.create_optimization_profile()
    for tensor in source.tensors.inputs:
        profile.set_shape(tensor.name, tensor.shape, tensor.shape, tensor.shape)
    # An invalid profile is told by -1 and in the log, which the builder then refuses to go on with.
    config.add_optimization_profile(profile)
    serialized = builder.build_serialized_network(network, config)
    warnings = log.take_lines()
    if serialized is None:
        raise BuildError(
            f"{source.name}: {backend.build} builds no engine of it: {_shown(warnings)}; mend that, or try another --workspace-mb"
        )
    after = bytes(config.get_timing_cache().serialize()) if backend.has_timing_cache else b""
    return EnginePlan(bytes(serialized), after, tuple(dict.fromkeys(warnings)))


def describe_layers(backend: Backend, serialized: bytes, name: str) -> str:
    """TensorRT's JSON of an engine's layers, whose keys differ between versions. Needs the device.

    Raises BuildError if the engine cannot be loaded back.
    """
    trt, log = backend.trt, tensorrt_log(backend.trt)
    runtime = _create(trt.Runtime, log, name)
    engine = runtime.deserialize_cuda_engine(serialized)
    if engine is None:
        raise BuildError(
            f"{name}: the engine just built cannot be loaded back: {_shown(log.take_lines())}; check memory and driver"
        )
    inspector = engine.create_engine_inspector()
    return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def _create(kind: Callable[[TensorrtLog], Any], log: TensorrtLog, name: str) -> Any:
    """A builder or runtime; the bindings raise TypeError where the library gives none."""
    try:
        return kind(log)
    except TypeError as error:
        raise BuildError(
            f"{name}: TensorRT gives no {kind.__name__} ({_shown(log.take_lines()) or error}); "
            "check that its libraries and the driver fit together"
        ) from error


def _parse(trt: ModuleType, log: TensorrtLog, builder: Any, source: GraphSource) -> Any:
    # The flag is valid in all versions; from 11.0 on it changes nothing, as there are no other networks.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(source.onnx):
        problems = [_problem(parser.get_error(index)) for index in range(parser.num_errors)]
        raise ModelError(
            f"{source.name}: TensorRT's parser refuses it: {_shown(problems or log.take_lines())}; export the bundle again"
        )
    # Empty and other non-ONNX bytes parse as an empty network without an error.
    found = (
        [network.get_input(index).name for index in range(network.num_inputs)],
        [network.get_output(index).name for index in range(network.num_outputs)],
    )
    wanted = ([tensor.name for tensor in source.tensors.inputs], [tensor.name for tensor in source.tensors.outputs])
    if found != wanted:
        raise ModelError(
            f"{source.name}: TensorRT's parser finds inputs {found[0]} and outputs {found[1]} in it, "
            f"wanted {wanted[0]} and {wanted[1]}; export the bundle again"
        )
    return network


def _aim_without_device(trt: ModuleType, config: Any) -> None:
    """Only TensorRT-RTX builds without a device; it must be told one, and its nearest to Orin's 8.7 is 8.6."""
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)


def _set_timing_cache(config: Any, log: TensorrtLog, name: str, timing: bytes) -> None:
    cache = config.create_timing_cache(timing)
    if cache is None or not config.set_timing_cache(cache, False):
        raise BuildError(
            f"{name}: TensorRT refuses its timing cache: {_shown(log.take_lines())}; remove timing-*.cache beside the engines"
        )


def _problem(problem: Any) -> str:
    node = problem.node()
    where = f" (node {node} {problem.node_name()!r}, {problem.node_operator()})" if node >= 0 else ""
    return f"{problem.desc()}{where}"


def _shown(lines: list[str]) -> str:
    """The first lines, joined; each says the same thing once."""
    return "; ".join(list(dict.fromkeys(lines))[:MAX_SHOWN]).rstrip(".; ")
