"""The logger that TensorRT reports to, shared by builder and engine: TensorRT uses one per process and ignores later ones.

The library is passed in, so nothing here imports it.
"""

import functools
from collections import deque
from types import ModuleType
from typing import Any, Final, Protocol

KEPT_SEVERITIES: Final = ("INTERNAL_ERROR", "ERROR", "WARNING")
MAX_LINES: Final = 200


class TensorrtLog(Protocol):
    """A `trt.ILogger` that keeps the newest lines of severity warning and above."""

    def take_lines(self) -> list[str]:
        """The lines logged since the last call, oldest first, as `SEVERITY: text`."""
        ...


@functools.cache
def tensorrt_log(trt: ModuleType) -> TensorrtLog:
    """The logger of this process for a TensorRT module; the same object on every call."""

    class Log(trt.ILogger):  # type: ignore[name-defined,misc]  # the base comes with the module
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._lines: deque[str] = deque(maxlen=MAX_LINES)

        def log(self, severity: Any, message: str) -> None:
            if severity.name in KEPT_SEVERITIES:
                self._lines.append(f"{severity.name}: {message.strip()}")

        def take_lines(self) -> list[str]:
            lines = list(self._lines)
            self._lines.clear()
            return lines

    log: TensorrtLog = Log()
    return log
