"""The memory of the GPU that the engines run on, read at most every READ_EVERY_S so that the driver has little to do with it."""

import time
from typing import Final

from handmap.engines.engine import Engine, GpuMemory, OnGpu

READ_EVERY_S: Final = 5.0


class GpuWatch:
    """The main loop says which engine runs; the thread of the telemetry reads."""

    def __init__(self) -> None:
        self._engine: OnGpu | None = None
        self._memory: GpuMemory | None = None
        self._read_s = float("-inf")

    def watch(self, engine: Engine | None) -> None:
        """Reads the memory of this engine's GPU from now on; nothing without an engine, or if that needs no GPU."""
        self._engine = engine if isinstance(engine, OnGpu) else None

    def read(self) -> GpuMemory | None:
        """The memory of a moment ago; None without a GPU."""
        engine = self._engine
        if engine is None:
            return None
        if time.monotonic() - self._read_s >= READ_EVERY_S:
            self._memory, self._read_s = engine.gpu_memory(), time.monotonic()
        return self._memory
