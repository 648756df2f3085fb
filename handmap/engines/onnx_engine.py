"""The engine on ONNX Runtime: any machine, no GPU. The only module that opens onnxruntime sessions."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnxruntime

from handmap.bundle.graph_contents import refuse_odd_graph
from handmap.bundle.graph_steps import has_float_steps
from handmap.bundle.tensors import HAND_OUTPUTS, Tensor, Tensors, fix_batch
from handmap.engines.engine import EngineOutput
from handmap.files.reading import MAX_MODEL_BYTES, read_bytes
from handmap.types.arrays import Array, Float32
from handmap.types.errors import DependencyError, EngineFailed, ModelError, NotFinite
from handmap.types.values import CROP_PX

INPUT = "depth"
PALM_INPUT, PALM_OUTPUT = "depth_small", "palms"
PALM_INPUT_SHAPE = (1, 96, 128)
RUN_BATCH = 8
DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16"}


class OnnxEngine:
    """A session with the batch fixed by a free-dimension override and a stated number of threads."""

    def __init__(self, session: onnxruntime.InferenceSession, batch: int, precision: str) -> None:
        self.batch = batch
        self.precision = precision
        self.tensors = _tensors(session, batch)
        self._session: onnxruntime.InferenceSession | None = session
        self._outputs = [output.name for output in session.get_outputs() if output.name in HAND_OUTPUTS]

    def infer(self, depth: Array) -> EngineOutput:
        """See `handmap.engines.engine.Engine`."""
        if self._session is None:
            raise EngineFailed("hand engine: used after it was closed; open it again")
        try:
            values = dict(zip(self._outputs, self._session.run(self._outputs, {INPUT: depth}), strict=True))
        except Exception as error:
            raise EngineFailed(
                f"hand engine: ONNX Runtime failed on input {depth.shape} {depth.dtype}: {error}"
            ) from error
        broken = sorted(name for name, array in values.items() if not np.isfinite(array).all())
        if broken:
            raise NotFinite(f"hand engine: output {', '.join(map(repr, broken))} is not finite; check the bundle")
        return EngineOutput.of(values)

    def close(self) -> None:
        """Drops the session; the library frees it."""
        self._session = None


class OnnxPalmEngine:
    """A session of the palm graph for one frame at a time."""

    def __init__(self, session: onnxruntime.InferenceSession, precision: str) -> None:
        self.precision = precision
        self.tensors = _tensors(session, 1)
        self._session: onnxruntime.InferenceSession | None = session

    def infer(self, depth_small: Array) -> Float32:
        """See `handmap.engines.engine.PalmEngine`."""
        if self._session is None:
            raise EngineFailed("palm engine: used after it was closed; open it again")
        try:
            (palms,) = self._session.run([PALM_OUTPUT], {PALM_INPUT: depth_small[None, None]})
        except Exception as error:
            raise EngineFailed(f"palm engine: ONNX Runtime failed on input {depth_small.shape}: {error}") from error
        answer: Float32 = palms[0]
        if not np.isfinite(answer).all():
            raise NotFinite("palm engine: its output is not finite; check the bundle")
        return answer

    def close(self) -> None:
        """Drops the session; the library frees it."""
        self._session = None


def open_onnx_engine(path: Path, batch: int, threads: int, precision: str = "fp32") -> OnnxEngine:
    """An engine on the CPU for the hand graph at `path`, warmed up once.

    Raises ModelError if the file is not a graph with the contract's tensors.
    """
    session = _open_session(path, batch, threads, precision, (INPUT, "joints"))
    engine = OnnxEngine(session, batch, precision)
    _refuse_other_input(path, engine.tensors, (1, CROP_PX, CROP_PX))
    _warm_up(path, lambda: engine.infer(np.ones((batch, 1, CROP_PX, CROP_PX), np.float32)))
    return engine


def open_onnx_palm_engine(path: Path, threads: int, precision: str = "fp32") -> OnnxPalmEngine:
    """An engine on the CPU for the palm graph at `path`, warmed up once.

    Raises ModelError if the file is not a graph with the contract's tensors.
    """
    session = _open_session(path, 1, threads, precision, (PALM_INPUT, PALM_OUTPUT))
    engine = OnnxPalmEngine(session, precision)
    _refuse_other_input(path, engine.tensors, PALM_INPUT_SHAPE)
    _warm_up(path, lambda: engine.infer(np.zeros(PALM_INPUT_SHAPE[1:], np.float32)))
    return engine


def _refuse_other_input(path: Path, tensors: Tensors, shape: tuple[int, ...]) -> None:
    """Raises ModelError unless the only input is float32 of this shape after its batch axis."""
    found = [(tensor.name, tensor.dtype, tensor.shape[1:]) for tensor in tensors.inputs]
    if [one[1:] for one in found] != [("float32", shape)]:
        raise ModelError(
            f"engine {str(path)!r}: its inputs (name, type, shape after the batch) are {found}, wanted one of float32 and {shape}; "
            "export the bundle again"
        )


def _warm_up(path: Path, infer: Callable[[], object]) -> None:
    """Runs an engine once. What fails in its first call will fail in all: raises ModelError, which nobody retries."""
    try:
        infer()
    except EngineFailed as error:
        raise ModelError(f"engine {str(path)!r}: {error}; export the bundle again") from error


def _open_session(
    path: Path, batch: int, threads: int, precision: str, wanted: tuple[str, str]
) -> onnxruntime.InferenceSession:
    """A session with the batch fixed; `wanted` are the input and the output that the graph must have."""
    try:
        content = read_bytes(path, MAX_MODEL_BYTES)
    except OSError as error:
        raise ModelError(
            f"engine {str(path)!r}: the graph cannot be read ({error.strerror}); export the bundle again"
        ) from error
    refuse_odd_graph(content, str(path))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads would take up cores that capture and heartbeat need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_free_dimension_override_by_name("batch", batch)
    options.log_severity_level = 3
    # Without VNNI, x86 kernels for int8 weights saturate at 16 bits; these are slower and do not.
    options.add_session_config_entry("session.x64quantprecision", "1")
    if precision == "int8" and not has_float_steps(content):
        # The library's fusions of Q/DQ with FP16 steps compute wrong results: joints are off by 53 mm.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(
            f"engine {str(path)!r}: ONNX Runtime cannot load it: {error}; export the bundle again"
        ) from error
    found = {tensor.name: tuple(tensor.shape) for tensor in (*session.get_inputs(), *session.get_outputs())}
    if not set(wanted) <= set(found):
        raise ModelError(
            f"engine {str(path)!r}: tensors found {found}, wanted input {wanted[0]!r} and output {wanted[1]!r}; "
            "export the bundle again"
        )
    return session


def run_graph(content: bytes, depth: Float32, outputs: tuple[str, ...], is_optimized: bool = True) -> dict[str, Array]:
    """The named outputs of a graph for depth (N, 1, 128, 128), any N, on one thread; for analyzing graphs, not for the daemon.

    Raises ModelError if the library refuses the graph, EngineFailed if it cannot run it.
    """
    parts = list(run_batches(content, depth, outputs, is_optimized))
    return {name: np.concatenate([part[name] for part in parts]) for name in outputs}


def run_batches(
    content: bytes, depth: Float32, outputs: tuple[str, ...], is_optimized: bool = True, input_name: str = INPUT
) -> Iterator[dict[str, Array]]:
    """The output of `run_graph`, a few samples at a time: all intermediate tensors at once do not fit into memory."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if not is_optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"graph: ONNX Runtime cannot load it: {error}; fix the code that produces it") from error
    for first in range(0, len(depth), RUN_BATCH):
        try:
            values = session.run(list(outputs), {input_name: depth[first : first + RUN_BATCH]})
        except Exception as error:
            raise EngineFailed(f"graph: ONNX Runtime failed on input {depth.shape}: {error}") from error
        yield dict(zip(outputs, values, strict=True))


def _tensors(session: onnxruntime.InferenceSession, batch: int) -> Tensors:
    inputs, outputs = (tuple(map(_tensor, values)) for values in (session.get_inputs(), session.get_outputs()))
    return fix_batch(Tensors(inputs, outputs), batch)


def _tensor(value: onnxruntime.NodeArg) -> Tensor:
    return Tensor(value.name, DTYPES.get(value.type, value.type), tuple(value.shape))


def onnxruntime_version() -> str:
    """The version of the library, for reports."""
    version = onnxruntime.__version__
    if not version:
        raise DependencyError("ONNX Runtime reports no version; reinstall it with: pip install onnxruntime")
    return str(version)
