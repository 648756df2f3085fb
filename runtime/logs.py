"""The format of log lines: one per event, as key=value text or as JSON, with the priority that journald reads.

Lines repeated too often are counted instead of written, so that nothing can flood the journal.
"""

import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, Final

from .log_writer import LogWriter
from .settings import LogConfig

PRIORITIES: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
BURST: Final = 20  # lines of one kind per window; more than a daemon writes in its worst minute
WINDOW_S: Final = 60.0
PERIODIC: Final = "handmap.stats"  # its rate is configured
MAX_KINDS: Final = 256
# A %-style conversion, with the key before it if there is one: `state=%s`, but not `%%`.
_CONVERSION: Final = re.compile(r"(?:(?P<key>\w+)=)?%(?:%|[-#0 +]*\d*(?:\.\d+)?(?P<code>[a-z]))")
_LITERAL: Final = re.compile(r"(?<!\S)(\w+)=([^\s%]+)(?!\S)")


class RateLimit(logging.Filter):
    """Passes BURST lines of one kind (logger and format) per WINDOW_S; the next line states how many were left out."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now_s = now_s
        self._kinds: dict[tuple[str, str], tuple[float, int]] = {}  # when the window began, lines since

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if record.name == PERIODIC:
            return True
        if len(self._kinds) >= MAX_KINDS:
            self._kinds.clear()
        kind = (record.name, str(record.msg))
        now_s = self._now_s()
        since_s, lines = self._kinds.get(kind, (now_s, 0))
        if now_s - since_s >= WINDOW_S:
            if lines > BURST:
                record.msg, record.args = _with_count(record, lines - BURST)
            since_s, lines = now_s, 0
        self._kinds[kind] = (since_s, lines + 1)
        return lines < BURST


def _with_count(record: logging.LogRecord, left_out: int) -> tuple[str, tuple[object, ...]]:
    if isinstance(record.args, tuple) and record.args:
        return f"{record.msg} left_out=%d", (*record.args, left_out)
    return f"{record.getMessage()} left_out={left_out}", ()


class JournalFormatter(logging.Formatter):
    """Puts the syslog priority before the line, as `<6>`; journald strips it and keeps time and process itself."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """The line, preceded by its priority."""
        return f"<{PRIORITIES.get(record.levelno, 6)}>{self._inner.format(record)}"


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time (UTC), level, logger, message, and each key=value of the line as a key of `facts`."""

    def format(self, record: logging.LogRecord) -> str:
        """The JSON object."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "facts": facts_of(record),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def facts_of(record: logging.LogRecord) -> dict[str, Any]:
    """The key=value pairs of a line, numbers as numbers."""
    template = str(record.msg)
    facts: dict[str, Any] = dict(_LITERAL.findall(template))
    if isinstance(record.args, tuple):
        conversions = [found for found in _CONVERSION.finditer(template) if found["code"]]
        for found, value in zip(conversions, record.args, strict=False):
            if found["key"]:
                facts[found["key"]] = value
            else:  # a final "%s" that contains pairs itself
                facts |= dict(_LITERAL.findall(str(value)))
    return facts


def start_logging(config: LogConfig) -> None:
    """Sends the log to standard error: with the time on a terminal, with priorities under systemd, or as JSON.

    Can be called again with another configuration. Python's warnings join the log, so that they cannot block either.
    """
    is_journal = "JOURNAL_STREAM" in os.environ
    style = "%(name)s %(message)s" if is_journal else "%(asctime)s %(levelname)s %(name)s %(message)s"
    formatter = JsonFormatter() if config.format == "json" else logging.Formatter(style)
    handler = _writer()
    if handler is None:
        handler = LogWriter(sys.stderr.fileno())
        handler.addFilter(RateLimit())
        logging.basicConfig(handlers=[handler], force=True)
        logging.captureWarnings(True)
    handler.setFormatter(JournalFormatter(formatter) if is_journal else formatter)
    logging.getLogger().setLevel(config.level.upper())


def finish_logging() -> None:
    """Waits a moment for the last lines to be written; from then on the process can end whether or not anybody reads its log."""
    handler = _writer()
    if handler is not None:
        handler.silence_if_stuck()


def _writer() -> LogWriter | None:
    """The handler that `start_logging` has installed."""
    return next((found for found in logging.getLogger().handlers if isinstance(found, LogWriter)), None)
