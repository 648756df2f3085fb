"""The engine on TensorRT, 10.3 to 11.4 with the same calls; only this module and export/to_engine.py import tensorrt.

Streams, buffers and graphs are in handmap/engines/device_engine.py.
"""

from pathlib import Path
from types import ModuleType
from typing import Any, Final

from handmap.bundle.tensors import Tensor, Tensors
from handmap.engines import gpu
from handmap.engines.cache import MAX_ENGINE_BYTES
from handmap.engines.cuda_driver import read_device_facts
from handmap.engines.device_engine import DeviceEngine
from handmap.engines.tensorrt_log import tensorrt_log
from handmap.files.reading import read_bytes
from handmap.types.arrays import Array
from handmap.types.errors import DependencyError, EngineFailed, ModelError

# The input of each graph, and the output that it must have.
CONTRACTS: Final = {"hand": ("depth", "joints"), "palm": ("depth_small", "palms")}
# By trt.DataType name: trt.nptype() raises for types that NumPy lacks.
DTYPES: Final = {"FLOAT": "float32", "HALF": "float16"}


class TensorrtPlan:
    """A deserialized plan and its execution context for one batch; implements `handmap.engines.device_engine.DevicePlan`."""

    def __init__(self, trt: ModuleType, engine_file: Path, batch: int, graph: str = "hand") -> None:
        """Raises EngineFailed if TensorRT refuses the file, ModelError if its tensors are not the contract's."""
        self._log = tensorrt_log(trt)
        self._log.take_lines()  # from earlier users of the library
        # Each must outlive the next: runtime, plan, context.
        self._runtime, self._plan = deserialize(trt, engine_file)
        self._context = self._plan.create_execution_context()
        if self._context is None:
            raise EngineFailed(
                f"engine {str(engine_file)!r}: TensorRT made no execution context{self.pop_log()}; free memory of the GPU"
            )
        self._fix_batch(trt, engine_file, batch)
        self._tensors = self._read_tensors(trt)
        refuse_other_tensors(self._tensors, batch, engine_file, CONTRACTS[graph])
        self._name = f"{graph} engine"

    @property
    def tensors(self) -> Tensors:
        """See `DevicePlan`."""
        return self._tensors

    def bind(self, buffers: dict[str, Array]) -> None:
        """See `DevicePlan`."""
        for name, buffer in buffers.items():
            if not self._context.set_tensor_address(name, buffer.data.ptr):
                raise EngineFailed(
                    f"{self._name}: TensorRT refused the buffer of tensor {name!r}{self.pop_log()}; "
                    "rebuild with: handmap build-engine"
                )

    def execute(self, stream: Any) -> None:
        """See `DevicePlan`."""
        if not self._context.execute_async_v3(stream.ptr):
            raise EngineFailed(
                f"{self._name}: TensorRT enqueued no inference{self.pop_log()}; rebuild with: handmap build-engine"
            )

    def pop_log(self) -> str:
        """See `DevicePlan`."""
        return _said(self._log.take_lines())

    def _fix_batch(self, trt: ModuleType, engine_file: Path, batch: int) -> None:
        """A plan with a symbolic batch has it as -1; the context needs the actual number."""
        for name in self._names():
            is_input = self._plan.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            shape = tuple(self._plan.get_tensor_shape(name))
            if is_input and -1 in shape and not self._context.set_input_shape(name, (batch, *shape[1:])):
                raise ModelError(
                    f"engine {str(engine_file)!r}: it does not take batch {batch}{self.pop_log()}; "
                    f"build one with: handmap build-engine --batch {batch}"
                )

    def _read_tensors(self, trt: ModuleType) -> Tensors:
        inputs: list[Tensor] = []
        outputs: list[Tensor] = []
        for name in self._names():
            is_input = self._plan.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            shape = tuple(int(size) for size in self._context.get_tensor_shape(name))
            tensor = Tensor(name, dtype_name(self._plan.get_tensor_dtype(name)), shape)
            (inputs if is_input else outputs).append(tensor)
        return Tensors(tuple(inputs), tuple(outputs))

    def _names(self) -> list[str]:
        return [self._plan.get_tensor_name(index) for index in range(self._plan.num_io_tensors)]


def open_tensorrt_engine(
    engine_file: Path, batch: int, precision: str, trt: ModuleType | None = None, graph: str = "hand"
) -> DeviceEngine:
    """The engine for a plan that was built on this device, warmed up and captured. `trt` defaults to the module tensorrt.

    handmap/engines/cache.py has checked already that the file is intact and for this TensorRT and GPU.
    Raises DependencyError without driver, TensorRT or CuPy, EngineFailed and ModelError as `TensorrtPlan` does.
    """
    read_device_facts()  # first: without a driver the runtime crashes the process
    library = load_tensorrt() if trt is None else trt
    gpu.open_gpu()
    return DeviceEngine(TensorrtPlan(library, engine_file, batch, graph), gpu, precision, graph)


def load_tensorrt() -> ModuleType:
    """The module tensorrt.

    Raises DependencyError if this Python does not have it.
    """
    try:
        import tensorrt
    except ImportError as error:
        raise DependencyError(
            f"engine: this Python has no TensorRT ({error}); on a Jetson: apt install python3-libnvinfer, and create the "
            "environment with --system-site-packages (docs/jetson.md)"
        ) from error
    module: ModuleType = tensorrt
    return module


def deserialize(trt: ModuleType, engine_file: Path) -> tuple[Any, Any]:
    """TensorRT's runtime, and the plan that it reads from a file. Check for the driver first.

    Raises EngineFailed, with TensorRT's own log lines, if either fails.
    """
    log = tensorrt_log(trt)
    try:
        content = read_bytes(engine_file, MAX_ENGINE_BYTES)
        runtime = trt.Runtime(log)
    except (OSError, TypeError) as error:  # pybind raises TypeError for a factory that returns null
        raise EngineFailed(
            f"engine {str(engine_file)!r}: it cannot be opened ({error}){_said(log.take_lines())}; "
            "rebuild with: handmap build-engine"
        ) from error
    plan = runtime.deserialize_cuda_engine(content)
    if plan is None:
        raise EngineFailed(
            f"engine {str(engine_file)!r}: TensorRT {trt.__version__} cannot load its {len(content)} bytes"
            f"{_said(log.take_lines())}; rebuild with: handmap build-engine"
        )
    return runtime, plan


def refuse_other_tensors(
    found: Tensors, batch: int, engine_file: Path, contract: tuple[str, str] = CONTRACTS["hand"]
) -> None:
    """Raises ModelError unless there is the contract's one input and its output, all float32 with this batch."""
    tensors = (*found.inputs, *found.outputs)
    names = [tensor.name for tensor in found.inputs], {tensor.name for tensor in found.outputs}
    are_float32 = all(tensor.dtype == "float32" and tensor.shape[:1] == (batch,) for tensor in tensors)
    if names[0] != [contract[0]] or contract[1] not in names[1] or not are_float32:
        shown = ", ".join(f"{tensor.name} {tensor.dtype} {tensor.shape}" for tensor in tensors)
        raise ModelError(
            f"engine {str(engine_file)!r}: tensors found {shown}, wanted input {contract[0]!r} and output {contract[1]!r}, float32 with "
            f"batch {batch}; build it again with: handmap build-engine --batch {batch}"
        )


def dtype_name(dtype: Any) -> str:
    """The NumPy name of a trt.DataType, or TensorRT's own name if it is not in DTYPES."""
    return DTYPES.get(dtype.name, str(dtype.name))


def _said(lines: list[str]) -> str:
    return f" (TensorRT: {' | '.join(lines)})" if lines else ""
