"""A stand-in for CuPy in the host's memory, with CuPy's rules about streams that are capturing; and our GPU module on top of it.

Work on a stream runs at once, or is recorded; launching a graph does what was recorded again. What CuPy 14.2 refuses while
a stream is capturing is refused here with the same words (cupy/cuda/memory.pyx, stream.pyx and its tests of graphs): its own
copies, synchronous calls, waiting, and asking whether the stream is done. Copies by memcpyAsync are recorded, as by CUDA.
"""

import ctypes
import importlib.util
import itertools
from collections.abc import Callable
from types import ModuleType, SimpleNamespace, TracebackType
from typing import Any

import numpy as np

from handmap.bundle.tensors import Tensors
from handmap.types.arrays import Array

# Does what the crop kernel does with hands, batch, out and filled, by address.
CropLaunch = Callable[[int, int, int, int], None]
CURRENT: list["Stream"] = []
STREAMS: dict[int, "Stream"] = {}
_pointers = itertools.count(1)


class CUDARuntimeError(RuntimeError):
    """What CuPy raises for an error of the CUDA runtime."""


class Graph:
    """Work that was recorded; launching it does it again."""

    def __init__(self, works: list[Callable[[], None]]) -> None:
        self._works = works

    def launch(self, stream: "Stream") -> None:
        for work in self._works:
            stream.do(work)


class Stream:
    """Does what it is given, or records it; one that refuses graphs says so as CUDA does, when the recording ends."""

    def __init__(self, refuses_graphs: bool = False, non_blocking: bool = True) -> None:
        self.ptr = next(_pointers)
        STREAMS[self.ptr] = self
        self.work_done = 0
        self.is_capturing = False
        self._refuses_graphs = refuses_graphs
        self._is_invalid = False
        self._recorded: list[Callable[[], None]] = []

    def do(self, work: Callable[[], None]) -> None:
        if self.is_capturing:
            self._recorded.append(work)
        else:
            self.work_done += 1
            work()

    def begin_capture(self) -> None:
        self.is_capturing, self._is_invalid, self._recorded = True, False, []

    def end_capture(self) -> Graph:
        self.is_capturing = False
        if self._refuses_graphs or self._is_invalid:
            raise CUDARuntimeError("cudaErrorStreamCaptureInvalidated")
        return Graph(self._recorded)

    @property
    def done(self) -> bool:
        self._is_invalid |= self.is_capturing
        return True

    def synchronize(self) -> None:
        if self.is_capturing:
            self._is_invalid = True
            raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported")

    def refuse_capturing(self, what: str) -> None:
        """Raises as CuPy's own copies do."""
        if self.is_capturing:
            raise RuntimeError(f"the current stream is capturing, so {what} are disallowed")

    def record(self) -> str:
        return "event"

    def wait_event(self, event: str) -> None:
        assert event == "event"

    def __enter__(self) -> "Stream":
        CURRENT.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        CURRENT.pop()


NULL = Stream()


def current_stream() -> Stream:
    """The innermost `with` of a stream, else the default stream."""
    return CURRENT[-1] if CURRENT else NULL


class DeviceArray:
    """An array that the host reaches only by copies on a stream; `values` is for tests."""

    def __init__(self, shape: Any, dtype: Any = np.float32, memptr: Any = None, strides: Any = None) -> None:
        if memptr is None:
            self.values: Array = np.zeros(shape, dtype)
            if self.values.dtype.kind == "f":
                self.values.fill(np.nan)
        else:
            memory = (ctypes.c_char * memptr.size).from_address(memptr.ptr)
            self.values = np.ndarray(shape, dtype, memory, strides=strides)
            self._owner = memptr
        self.shape, self.dtype, self.strides = self.values.shape, self.values.dtype, self.values.strides
        self.nbytes, self.itemsize, self.flags = self.values.nbytes, self.values.itemsize, self.values.flags
        self.data = SimpleNamespace(ptr=self.values.ctypes.data)

    def set(self, source: Array, stream: Stream | None = None) -> None:
        on = stream or current_stream()
        on.refuse_capturing("synchronous API calls" if stream is None else "H2D transfers")
        on.do(lambda: np.copyto(self.values, source))

    def get(self, stream: Stream | None = None, out: Array | None = None, blocking: bool = True) -> Array:
        on = stream or current_stream()
        on.refuse_capturing("D2H transfers")
        given = np.empty(self.shape, self.dtype) if out is None else out
        on.do(lambda: np.copyto(given, self.values))
        if blocking:
            on.synchronize()
        return given

    def __setitem__(self, key: object, source: "DeviceArray") -> None:
        assert key is Ellipsis
        current_stream().do(lambda: np.copyto(self.values, source.values))


class RawModule:
    """A module whose one kernel is the crop."""

    def __init__(self, launch: CropLaunch | None) -> None:
        self._launch = launch

    def get_function(self, name: str) -> "RawModule":
        return self

    def __call__(self, grid: tuple[int], block: tuple[int], arguments: tuple[Any, ...], shared_mem: int = 0) -> None:
        launch, (hands, out, filled) = self._launch, arguments
        assert launch is not None, "no kernel was given"
        current_stream().do(lambda: launch(hands.data.ptr, grid[0], out.data.ptr, filled.data.ptr))


class NumpyPlan:
    """A plan of a device engine that computes on the host, or fails; a test says what."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors
        self.fails_with: Exception | None = None
        self.buffers: dict[str, Array] = {}

    def bind(self, buffers: dict[str, Array]) -> None:
        self.buffers = dict(buffers)

    def execute(self, stream: Any) -> None:
        stream.do(self._run)

    def pop_log(self) -> str:
        return ""

    def compute(self) -> None:
        raise NotImplementedError

    def _run(self) -> None:
        if self.fails_with:
            raise self.fails_with
        self.compute()


def _filled(value: int) -> Callable[..., DeviceArray]:
    def make(shape: Any, dtype: Any) -> DeviceArray:
        array = DeviceArray(shape, dtype)
        array.values.fill(value)
        return array

    return make


def _memcpy_async(target: int, source: int, size: int, kind: int, stream: int) -> None:
    def copy() -> None:
        ctypes.memmove(target, source, size)

    STREAMS[stream].do(copy)


def numpy_cupy(refuses_graphs: bool = False, launch: CropLaunch | None = None) -> SimpleNamespace:
    """The names of CuPy that handmap.engines uses."""
    runtime = SimpleNamespace(
        getDeviceCount=lambda: 1, getDevice=lambda: 0, memcpyAsync=_memcpy_async, memcpyHostToDevice=1,
        memcpyDeviceToHost=2, CUDARuntimeError=CUDARuntimeError,
    )  # fmt: skip
    cuda = SimpleNamespace(
        runtime=runtime,
        driver=SimpleNamespace(CUDADriverError=CUDARuntimeError),
        memory=SimpleNamespace(OutOfMemoryError=MemoryError),
        compiler=SimpleNamespace(CompileException=CUDARuntimeError),
        Device=lambda: SimpleNamespace(compute_capability="00"),
        Stream=lambda non_blocking: Stream(refuses_graphs),
        get_current_stream=current_stream,
        alloc_pinned_memory=bytearray,
        UnownedMemory=lambda address, size, owner, device: SimpleNamespace(ptr=address, size=size, owner=owner),
        MemoryPointer=lambda memory, offset: memory,
    )
    return SimpleNamespace(
        __version__="stand-in", cuda=cuda, ndarray=DeviceArray, empty=DeviceArray, zeros=_filled(0), ones=_filled(1),
        RawModule=lambda **_: RawModule(launch), uint8=np.uint8, int32=np.int32, float32=np.float32,
    )  # fmt: skip


def numpy_gpu(refuses_graphs: bool = False) -> ModuleType:
    """A copy of `handmap.engines.gpu` on the stand-in."""
    spec = importlib.util.find_spec("handmap.engines.gpu")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module)["cupy"] = numpy_cupy(refuses_graphs)
    return module
