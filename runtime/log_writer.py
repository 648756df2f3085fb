"""Writes log lines from a thread of its own: whoever logs never waits for whoever reads the log.

A pipe that nobody empties, a stopped terminal or a stuck journal costs lines, which are counted and reported, and nothing else.
"""

import logging
import os
import threading
import time
from collections import deque
from typing import Final

MAX_LINES: Final = 1000  # waiting to be written; a daemon logs a few per minute
FLUSH_S: Final = 0.3  # longest wait for a reader when the process ends
AGAIN_S: Final = 0.05  # pause before writing again to a descriptor that takes nothing now


class LogWriter(logging.Handler):
    """A handler that hands formatted lines to a thread; descriptor is written to directly, without Python's locks around sys.stderr."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lines: deque[str] = deque()
        self._is_writing = False
        self._dropped = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._write_all, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queues the line, or counts it if too many are waiting."""
        line = self.format(record) + "\n"
        with self._changed:
            if len(self._lines) >= MAX_LINES:
                self._dropped += 1
                return
            self._lines.append(line)
            self._changed.notify_all()

    def flush(self) -> None:
        """Waits until all lines are written, at most FLUSH_S."""
        with self._changed:
            self._changed.wait_for(self._is_idle, FLUSH_S)

    def silence_if_stuck(self) -> None:
        """Discards what this process still writes to the descriptor if nobody reads it, so that its exit is not held up."""
        self.flush()
        if not self._is_idle():
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._descriptor)
            os.close(nowhere)

    def _is_idle(self) -> bool:
        return not self._lines and not self._is_writing

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._lines))
                line, self._is_writing = self._lines.popleft(), True
                dropped, self._dropped = self._dropped, 0
            self._write(line.encode(errors="backslashreplace"))
            if dropped:
                self._write((self.format(_dropped_record(dropped)) + "\n").encode())

    def _write(self, line: bytes) -> None:
        while line:
            try:
                line = line[os.write(self._descriptor, line) :]
            except BlockingIOError:
                time.sleep(AGAIN_S)
            except OSError:  # the reader has gone for good
                return


def _dropped_record(count: int) -> logging.LogRecord:
    text = "lines_dropped=%d reason=%r"
    return logging.LogRecord("handmap.log", logging.WARNING, "", 0, text, (count, "nobody was reading the log"), None)
