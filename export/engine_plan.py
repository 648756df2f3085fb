"""From an ONNX graph to a serialized engine: one path for TensorRT 10.3 to 11.4 and TensorRT-RTX.

Networks are strongly typed: the graph sets the precision, not a builder flag. The library is an argument.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from handmap.bundle.tensors import Tensors
from handmap.engines.cuda_driver import DeviceFacts
from handmap.engines.engine_keys import BuilderOptions
from handmap.engines.tensorrt_log import TensorrtLog, tensorrt_log
from handmap.types.errors import BuildError, ModelError

MIB: Final = 1 << 20
MAX_SHOWN: Final = 6


@dataclass(frozen=True)
class Backend:
    """A TensorRT module and the device it builds for."""

    trt: ModuleType
    build: str  # "tensorrt 10.3.0"
    device: DeviceFacts | None  # None: there is no driver here, so the builder is given a target
    has_timing_cache: bool  # TensorRT-RTX has the calls, but they only warn


@dataclass(frozen=True)
class GraphSource:
    """A graph to build, and its tensors with the batch fixed."""

    name: str  # as it appears in messages
    onnx: bytes
    tensors: Tensors


@dataclass(frozen=True)
class EnginePlan:
    """A serialized engine, the timing cache after the build (empty: none), and TensorRT's warnings."""

    engine: bytes
    timing: bytes
    warnings: tuple[str, ...]


def build_plan(
    backend: Backend, source: GraphSource, options: BuilderOptions, timing: bytes, monitor: object | None
) -> EnginePlan:
    """The engine of a graph with one optimization profile: min = opt = max = the source's shapes.

    Raises ModelError if the parser rejects the graph or finds other tensors in it, BuildError if the builder fails; both
    include what TensorRT logged.
    """
    trt, log = backend.trt, tensorrt_log(backend.trt)
    log.take_lines()  # drops the lines of earlier work
    builder = _create(trt.Builder, log, source.name)
    network = _parse(trt, log, builder, source)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb * MIB)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    # TF32 has only FP16's 10 mantissa bits; an FP32 graph is to run in FP32.
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
    # An invalid profile returns -1 and is logged; the build then fails with that log.
    config.add_optimization_profile(profile)
    serialized = builder.build_serialized_network(network, config)
    warnings = log.take_lines()
    if serialized is None:
        raise BuildError(
            f"{source.name}: {backend.build} could not build an engine: {_shown(warnings)}; fix that, or try another --workspace-mb"
        )
    after = bytes(config.get_timing_cache().serialize()) if backend.has_timing_cache else b""
    return EnginePlan(bytes(serialized), after, tuple(dict.fromkeys(warnings)))


def describe_layers(backend: Backend, serialized: bytes, name: str) -> str:
    """TensorRT's JSON description of an engine's layers; its keys differ between versions. Needs the device.

    Raises BuildError if the engine cannot be loaded.
    """
    trt, log = backend.trt, tensorrt_log(backend.trt)
    runtime = _create(trt.Runtime, log, name)
    engine = runtime.deserialize_cuda_engine(serialized)
    if engine is None:
        raise BuildError(
            f"{name}: the engine was built but cannot be loaded: {_shown(log.take_lines())}; check the free memory and the driver"
        )
    inspector = engine.create_engine_inspector()
    return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def _create(kind: Callable[[TensorrtLog], Any], log: TensorrtLog, name: str) -> Any:
    """A builder or runtime; the bindings raise TypeError if the library cannot create one."""
    try:
        return kind(log)
    except TypeError as error:
        raise BuildError(
            f"{name}: TensorRT could not create a {kind.__name__} ({_shown(log.take_lines()) or error}); "
            "check that its libraries match the driver"
        ) from error


def _parse(trt: ModuleType, log: TensorrtLog, builder: Any, source: GraphSource) -> Any:
    # The flag is valid in all versions; since 11.0 it has no effect, because every network is strongly typed.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(source.onnx):
        problems = [_problem(parser.get_error(index)) for index in range(parser.num_errors)]
        raise ModelError(
            f"{source.name}: TensorRT's parser rejected it: {_shown(problems or log.take_lines())}; export the bundle again"
        )
    # Bytes that are not ONNX, such as an empty file, parse as an empty network without an error.
    found = (
        [network.get_input(index).name for index in range(network.num_inputs)],
        [network.get_output(index).name for index in range(network.num_outputs)],
    )
    wanted = ([tensor.name for tensor in source.tensors.inputs], [tensor.name for tensor in source.tensors.outputs])
    if found != wanted:
        raise ModelError(
            f"{source.name}: TensorRT's parser found inputs {found[0]} and outputs {found[1]}, "
            f"wanted {wanted[0]} and {wanted[1]}; export the bundle again"
        )
    return network


def _aim_without_device(trt: ModuleType, config: Any) -> None:
    """Only TensorRT-RTX builds without a device; it needs a target, and the closest that it has to Orin's 8.7 is 8.6."""
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)


def _set_timing_cache(config: Any, log: TensorrtLog, name: str, timing: bytes) -> None:
    cache = config.create_timing_cache(timing)
    if cache is None or not config.set_timing_cache(cache, False):
        raise BuildError(
            f"{name}: TensorRT rejected its timing cache: {_shown(log.take_lines())}; delete timing-*.cache next to the engines"
        )


def _problem(problem: Any) -> str:
    node = problem.node()
    where = f" (node {node} {problem.node_name()!r}, {problem.node_operator()})" if node >= 0 else ""
    return f"{problem.desc()}{where}"


def _shown(lines: list[str]) -> str:
    """The first lines, without repeats, joined."""
    return "; ".join(list(dict.fromkeys(lines))[:MAX_SHOWN]).rstrip(".; ")
