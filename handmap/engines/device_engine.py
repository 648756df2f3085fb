"""The engine on a GPU: one non-blocking stream, fixed buffers, and a CUDA graph if capture works.

The network is passed in as a `DevicePlan`; CuPy comes with handmap.engines.gpu, which is passed in too.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Protocol, TypeAlias

import numpy as np

from handmap.bundle.tensors import Tensors
from handmap.engines.cuda_graph import CapturedGraph
from handmap.engines.engine import EngineOutput
from handmap.types.arrays import Array, Float32
from handmap.types.errors import EngineFailed, NotFinite

# Puts work, such as the fused crop, on the given CuPy stream without allocating or waiting.
Preprocess: TypeAlias = Callable[[Any], None]


class DevicePlan(Protocol):
    """A network on the device for one batch: one input, and outputs, all float32."""

    @property
    def tensors(self) -> Tensors:
        """The tensors as the library reports them."""
        ...

    def bind(self, buffers: dict[str, Array]) -> None:
        """Fixes the CuPy array of every tensor, by name. Raises EngineFailed if one is refused."""
        ...

    def execute(self, stream: Any) -> None:
        """Puts the network on a CuPy stream. Raises EngineFailed if the library enqueues nothing."""
        ...

    def pop_log(self) -> str:
        """What the library logged since the last call, to append to a message; can be empty."""
        ...


class DeviceEngine:
    """A plan with its stream and buffers; with a hand graph, a `handmap.engines.engine.Engine`. Not thread-safe.

    `input_buffer` is the network's input on the device, (batch, 1, 128, 128) float32 of a hand graph; `stream` is CuPy's.
    """

    def __init__(self, plan: DevicePlan, gpu: ModuleType, precision: str, graph: str = "hand") -> None:
        """Allocates the buffers, runs the plan and captures it. `gpu` is handmap.engines.gpu; `graph` is for messages.

        Raises EngineFailed.
        """
        self._name = f"{graph} engine"
        (depth,) = plan.tensors.inputs
        self.batch = int(depth.shape[0])
        self.precision = precision
        self.tensors = plan.tensors
        self._plan: DevicePlan | None = plan
        self._cupy = gpu.cupy
        self._copy_to_host = gpu.copy_to_host
        self._replayed: CapturedGraph | None = None
        with self._typed_errors("allocating its buffers and running it once"):
            self.stream = gpu.open_stream()
            self._staging: Float32 = gpu.pinned_empty(depth.shape, np.float32)
            self._on_host: dict[str, Float32] = {
                tensor.name: gpu.pinned_empty(tensor.shape, np.float32) for tensor in plan.tensors.outputs
            }
            with self.stream:  # CuPy's pool keeps blocks per stream
                self.input_buffer = gpu.cupy.empty(depth.shape, np.float32)
                self._on_device = {name: gpu.cupy.empty(host.shape, np.float32) for name, host in self._on_host.items()}
            plan.bind({depth.name: self.input_buffer, **self._on_device})
            self._load(np.ones(self.input_buffer.shape, np.float32))  # background
            self._inferred: CapturedGraph | None = CapturedGraph(self.stream, self._enqueue, "inference")

    def infer(self, depth: Array) -> EngineOutput:
        """See `handmap.engines.engine.Engine`; depth is a NumPy or CuPy array, the outputs are NumPy arrays."""
        return EngineOutput.of(self.run(depth))

    def run(self, depth: Array) -> dict[str, Float32]:
        """The outputs of any graph by name, for its one input. Raises EngineFailed."""
        if depth.shape != self.input_buffer.shape or depth.dtype != np.float32:
            raise EngineFailed(
                f"{self._name}: input {depth.shape} {depth.dtype}, wanted {self.input_buffer.shape} float32; "
                "call it with its own batch"
            )
        with self._typed_errors(f"inference on input {depth.shape}"):
            self._load(depth)
            return self._answer(self._inferred)

    def set_preprocess(self, preprocess: Preprocess) -> None:
        """Makes `replay` run this before the network, both as one CUDA graph if that can be captured.

        It must write all of `input_buffer`, and is called more than once here. Raises EngineFailed if it cannot run at all.
        """

        def enqueue() -> None:
            preprocess(self.stream)
            self._enqueue()

        with self._typed_errors("recording what runs before it"):
            self._replayed = CapturedGraph(self.stream, enqueue, "prelude_and_inference")

    def replay(self) -> EngineOutput:
        """The output for what the preprocess step writes into `input_buffer`, or for its present contents without one.

        Raises EngineFailed as `infer` does.
        """
        with self._typed_errors("replay"):
            return EngineOutput.of(self._answer(self._replayed or self._inferred))

    @property
    def is_graph(self) -> bool:
        """Whether `replay` is a single CUDA graph launch."""
        work = self._replayed or self._inferred
        return work is not None and work.is_graph

    def close(self) -> None:
        """Waits for the stream, then drops plan, graphs and output buffers; `input_buffer` lives while others hold it."""
        if self._plan is None:
            return
        try:
            with self._typed_errors("waiting for its last work"):
                self.stream.synchronize()
        finally:
            self._plan = self._inferred = self._replayed = None
            self._on_device.clear()

    def _load(self, depth: Array) -> None:
        if isinstance(depth, np.ndarray):
            self._staging[...] = depth
            self.input_buffer.set(self._staging, stream=self.stream)
            return
        # Its computation may still be running: a non-blocking stream waits only for what it is told to.
        self.stream.wait_event(self._cupy.cuda.get_current_stream().record())
        with self.stream:
            self.input_buffer[...] = depth

    def _enqueue(self) -> None:
        """The network, then its outputs to page-locked memory."""
        assert self._plan is not None  # callers have checked
        self._plan.execute(self.stream)
        for name, array in self._on_device.items():
            self._copy_to_host(array, self._on_host[name], self.stream)

    def _answer(self, work: CapturedGraph | None) -> dict[str, Float32]:
        assert work is not None  # None only once it is closed, which `_typed_errors` refuses
        work.launch()
        self.stream.synchronize()
        values = {name: array.copy() for name, array in self._on_host.items()}
        broken = sorted(name for name, array in values.items() if not np.isfinite(array).all())
        if broken:
            raise NotFinite(
                f"{self._name}: outputs {broken} of the {self.precision} engine are not finite; check it with: handmap check"
            )
        return values

    @contextmanager
    def _typed_errors(self, doing: str) -> Iterator[None]:
        """Raises EngineFailed once closed, and for whatever CUDA raises, with what the plan's library logged."""
        if self._plan is None:
            raise EngineFailed(f"{self._name}: used after it was closed; open it again")
        try:
            yield
        except (RuntimeError, MemoryError) as error:  # CuPy's errors derive from these
            raise EngineFailed(
                f"{self._name}: {doing} failed: {error}{self._plan.pop_log()}; if it persists, check it with: handmap check"
            ) from error
