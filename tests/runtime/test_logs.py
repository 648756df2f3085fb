"""How log lines look, and that a line which repeats is counted instead of repeated."""

import json
import logging
import subprocess
import sys

import pytest

from runtime.logs import BURST, WINDOW_S, JournalFormatter, JsonFormatter, RateLimit
from tests.support.processes import ROOT


def record(message: str, *args: object, name: str = "handmap.x", level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord(name, level, "x.py", 1, message, args, None)


def test_a_repeated_line_is_counted_and_the_next_line_shows_the_count() -> None:
    now_s = 0.0
    limit = RateLimit(lambda: now_s)

    written = [limit.filter(record("target=%s lost at 3%%", "a")) for _ in range(BURST + 7)]
    other = limit.filter(record("state=%s", "TRACKING"))
    now_s = WINDOW_S
    next_one = record("target=%s lost at 3%%", "b")
    is_written = limit.filter(next_one)

    assert sum(written) == BURST and all(written[:BURST])
    assert other and is_written
    assert next_one.getMessage() == "target=b lost at 3% left_out=7"


def test_many_kinds_of_lines_do_not_fill_memory() -> None:
    limit = RateLimit(lambda: 0.0)

    for number in range(10_000):
        limit.filter(record(f"line {number}"))

    assert len(limit._kinds) <= 256


def test_the_periodic_line_is_not_rate_limited() -> None:
    limit = RateLimit(lambda: 0.0)

    assert all(limit.filter(record("rate_hz=%.1f", 60.0, name="handmap.stats")) for _ in range(100))


def test_json_lines_carry_the_facts_with_their_types() -> None:
    line = json.loads(
        JsonFormatter().format(
            record(
                "target=%s sending=failing error=%r errors=%d share=%.1f%% %s",
                "h:1",
                "no route",
                3,
                0.5,
                "a_ms=1/2 b=3",
            )
        )
    )

    assert line["level"] == "info" and line["logger"] == "handmap.x"
    assert line["message"] == "target=h:1 sending=failing error='no route' errors=3 share=0.5% a_ms=1/2 b=3"
    assert line["facts"] == {
        "target": "h:1", "sending": "failing", "error": "no route", "errors": 3, "share": 0.5, "a_ms": "1/2", "b": "3",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("level", "priority"), [(logging.ERROR, "<3>"), (logging.WARNING, "<4>"), (logging.INFO, "<6>")]
)
def test_journald_lines_start_with_the_priority(level: int, priority: str) -> None:
    formatter = JournalFormatter(logging.Formatter("%(name)s %(message)s"))

    assert formatter.format(record("state=%s", "X", level=level)) == f"{priority}handmap.x state=X"


def test_the_format_is_that_of_the_configuration() -> None:
    program = (
        "import logging\nfrom runtime.logs import start_logging\nfrom runtime.settings import LogConfig\n"
        "start_logging(LogConfig(format='json', level='warning'))\n"
        "logging.getLogger('a').info('x=1')\nlogging.getLogger('a').warning('x=%d', 2)\n"
        "start_logging(LogConfig())\nlogging.getLogger('a').info('x=3')\n"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    first, second = done.stderr.splitlines()
    assert json.loads(first)["facts"] == {"x": 2}
    assert second.endswith("INFO a x=3")
