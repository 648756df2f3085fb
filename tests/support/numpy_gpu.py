"""What `handmap.engines.device_engine` asks of a GPU, on NumPy: work on a stream runs at once, a graph is the list of what was recorded."""

from collections.abc import Callable, Sequence
from types import ModuleType, SimpleNamespace, TracebackType

import numpy as np

from handmap.types.arrays import Float32


class Graph:
    """Work that was recorded; launching it does it again."""

    def __init__(self, works: Sequence[Callable[[], None]]) -> None:
        self._works = works

    def launch(self, stream: "Stream") -> None:
        for work in self._works:
            stream.do(work)


class Stream:
    """Does what it is given, or records it; one that refuses graphs says so as CuPy does, when the recording ends."""

    def __init__(self, refuses_graphs: bool = False) -> None:
        self.done = 0
        self.is_capturing = False
        self._refuses_graphs = refuses_graphs
        self._recorded: list[Callable[[], None]] = []

    def do(self, work: Callable[[], None]) -> None:
        if self.is_capturing:
            self._recorded.append(work)
        else:
            self.done += 1
            work()

    def begin_capture(self) -> None:
        self.is_capturing = True
        self._recorded = []

    def end_capture(self) -> Graph:
        self.is_capturing = False
        if self._refuses_graphs:
            raise RuntimeError("cudaErrorStreamCaptureInvalidated")
        return Graph(self._recorded)

    def synchronize(self) -> None:
        if self.is_capturing:
            raise RuntimeError("cudaErrorStreamCaptureUnsupported")

    def record(self) -> str:
        return "event"

    def wait_event(self, event: str) -> None:
        assert event == "event"

    def __enter__(self) -> "Stream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class DeviceArray:
    """An array that the host reaches only by copies on a stream."""

    def __init__(self, shape: tuple[int, ...], dtype: type[np.float32]) -> None:
        self.values: Float32 = np.full(shape, np.nan, dtype)
        self.shape = shape
        self.dtype = self.values.dtype

    def set(self, source: Float32, stream: Stream) -> None:
        stream.do(lambda: np.copyto(self.values, source))

    def __setitem__(self, key: object, source: "DeviceArray") -> None:
        assert key is Ellipsis
        np.copyto(self.values, source.values)


def copy_to_host(array: DeviceArray, host: Float32, stream: Stream) -> None:
    """The one copy to the host that can be recorded."""
    stream.do(lambda: np.copyto(host, array.values))


def numpy_gpu(refuses_graphs: bool = False) -> ModuleType:
    """A module with the names of handmap.gpu that an engine uses."""
    module = ModuleType("numpy_gpu")
    names = {
        "cupy": SimpleNamespace(empty=DeviceArray, cuda=SimpleNamespace(get_current_stream=Stream)),
        "open_stream": lambda: Stream(refuses_graphs),
        "pinned_empty": np.empty,
        "copy_to_host": copy_to_host,
    }
    vars(module).update(names)
    return module
