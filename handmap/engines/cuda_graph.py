"""Work on a CUDA stream, captured once as a CUDA graph; no CUDA library is imported here, the stream provides it."""

import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final

from handmap.types.errors import EngineFailed

LOG = logging.getLogger("handmap.cuda_graph")
# What CuPy and TensorRT raise if the work cannot be captured; CUDA's own errors are RuntimeErrors.
REFUSALS: Final = (RuntimeError, MemoryError, EngineFailed)


class CapturedGraph:
    """The work that `enqueue` puts on a stream: one graph launch if it can be captured, else enqueued at every launch.

    `enqueue` must not allocate or wait, and must always use the same buffers. Which way it runs is logged once, with
    the reason.
    """

    def __init__(self, stream: Any, enqueue: Callable[[], None], name: str) -> None:
        self._stream = stream
        self._enqueue = enqueue
        self._graph: Any = None
        # Libraries allocate on their first call, which cannot be captured.
        enqueue()
        stream.synchronize()
        try:
            self._graph = _record(stream, enqueue)
        except REFUSALS as error:
            LOG.warning("work=%s runs=eagerly reason=%r", name, str(error))
        else:
            LOG.info("work=%s runs=as_cuda_graph", name)
        self.launch()
        stream.synchronize()

    @property
    def is_graph(self) -> bool:
        """Whether a launch is a single graph launch."""
        return self._graph is not None

    def launch(self) -> None:
        """Puts the work on the stream without waiting for it."""
        if self._graph is None:
            self._enqueue()
        else:
            self._graph.launch(self._stream)


def _record(stream: Any, enqueue: Callable[[], None]) -> Any:
    with stream:
        stream.begin_capture()
        try:
            enqueue()
        except BaseException:
            # A stream left in capture mode would refuse all further work; the capture is discarded.
            with contextlib.suppress(RuntimeError):
                stream.end_capture()
            raise
        return stream.end_capture()
