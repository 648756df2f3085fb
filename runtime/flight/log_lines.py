"""The newest lines of the log, for the flight recorder."""

import logging
import time
from collections import deque

from handmap.recording.flight_records import LogLine
from handmap.system.redact import without_keys


class LinesHandler(logging.Handler):
    """Keeps the newest lines of the log, without keys; state changes are noted by themselves, whatever the log's level."""

    def __init__(self, lines: deque[LogLine]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Adds a line."""
        if record.name != "handmap.state":
            text = without_keys(record.getMessage())
            self._lines.append(LogLine(time.monotonic_ns(), record.levelno, record.name, text))
