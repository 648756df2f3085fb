"""`handmap status --watch`: asks the daemon every second; a live table on a terminal, a line or JSON object for each answer elsewhere."""

import json
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click
import msgspec

from .ask_daemon import Answer, ask_once

PERIOD_S: Final = 1.0
WAIT_S: Final = 1.0  # for an answer: longest until a key is noticed
QUIT: Final = b"q"
MOST_KEYS: Final = 1024


def watch_status(port: int, config: Path | None, as_json: bool) -> None:
    """Shows the daemon at this port, of this configuration if one is given, until q, Ctrl-C or SIGTERM."""

    def ask() -> Answer:
        return ask_once(port, config, WAIT_S)

    # Where a shell has started it in the background, SIGINT is ignored; here Ctrl-C is the way out.
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        if as_json:
            _repeat(lambda: click.echo(as_json_line(ask())), _sleep)
        elif not _has_table():
            _repeat(lambda: click.echo(as_line(ask(), datetime.now())), _sleep)
        else:
            from .status_table import live_table

            with live_table(f"port {port}") as update, _keys() as is_quit:
                _repeat(lambda: update(ask()), is_quit)
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def as_json_line(answer: Answer) -> str:
    """What `--json` prints, or an object with the only key `problem`."""
    return json.dumps(msgspec.to_builtins(answer.facts) if answer.facts is not None else {"problem": answer.problem})


def as_line(answer: Answer, now: datetime) -> str:
    """One line with the time, the state, the rates, and the mean expected error of the hands."""
    when, facts = now.isoformat(timespec="seconds"), answer.facts
    if facts is None:
        return f"{when} problem={answer.problem!r}"
    hands = facts.hand_qualities
    words = [when, f"state={facts.state}", f"rate_hz={facts.rate_hz:.1f}", f"camera_hz={facts.camera_rate_hz:.1f}"]
    words.append(f"hands={facts.hands}")
    if hands:
        words.append(f"error_mm={sum(hand.expected_error_mm for hand in hands) / len(hands):.1f}")
    if "age" in facts.stages:
        words.append(f"age_ms={facts.stages['age'].p50_ms:.1f}/{facts.stages['age'].p99_ms:.1f}")
    return " ".join([*words, *([f"reason={facts.reason!r}"] if facts.reason else [])])


def _repeat(show: Callable[[], None], is_over: Callable[[float], bool]) -> None:
    """Shows every PERIOD_S, or as often as answers come if they take longer; `is_over` waits until a time of time.monotonic()."""
    due_s = time.monotonic()
    while True:
        show()
        due_s = max(due_s + PERIOD_S, time.monotonic())
        if is_over(due_s):
            return


def _sleep(until_s: float) -> bool:
    time.sleep(max(until_s - time.monotonic(), 0))
    return False


def _has_table() -> bool:
    """Whether there is a terminal that can be drawn on; a board might not have rich, and lines will do there."""
    return sys.stdout.isatty() and find_spec("rich") is not None and _moves_cursor()


def _moves_cursor() -> bool:
    from rich.console import Console

    return not Console().is_dumb_terminal


@contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """Reads single keys from the terminal until the block ends; yields the wait for q, which is over at a time of time.monotonic()."""
    if not sys.stdin.isatty():
        yield _sleep
        return
    source = sys.stdin.fileno()
    before = termios.tcgetattr(source)
    try:
        tty.setcbreak(source)
        yield lambda until_s: _is_quit(source, until_s)
    finally:
        termios.tcsetattr(source, termios.TCSADRAIN, before)


def _is_quit(source: int, until_s: float) -> bool:
    while True:
        left_s = max(until_s - time.monotonic(), 0)
        if not select.select([source], [], [], left_s)[0]:
            return False
        typed = os.read(source, MOST_KEYS)
        if not typed or QUIT in typed.lower():  # nothing: the terminal is gone
            return True


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
