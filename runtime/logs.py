"""How log lines look: one line an event, with the priority that journald reads where it listens."""

import logging
import os
import sys
from typing import Final

PRIORITIES: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class JournalFormatter(logging.Formatter):
    """Puts the syslog priority before the line, as `<6>`; journald strips it and keeps time and process itself."""

    def format(self, record: logging.LogRecord) -> str:
        """The line with its priority."""
        return f"<{PRIORITIES.get(record.levelno, 6)}>{super().format(record)}"


def start_logging(level: str) -> None:
    """Sends the log to standard error: plain with the time on a terminal, with priorities under systemd."""
    handler = logging.StreamHandler(sys.stderr)
    if "JOURNAL_STREAM" in os.environ:
        handler.setFormatter(JournalFormatter("%(name)s %(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
