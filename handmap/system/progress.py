"""Progress of long operations: a bar on a terminal, occasional plain lines elsewhere (journal, CI, file)."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TextIO, TypeAlias

LINE_EVERY_S = 30.0

# Called with the amount done so far, in units, and a note such as the latest result.
Advance: TypeAlias = Callable[[int, str], None]


@contextmanager
def track_progress(title: str, total: int, unit: str, first: int = 0) -> Iterator[Advance]:
    """Shows progress on standard error until the block ends; yields the function that reports it.

    `first` is what an earlier, interrupted run completed: it counts as done, but not toward the rate.
    """
    # A board might not have rich; plain lines will do there.
    if sys.stderr.isatty() and find_spec("rich") is not None:
        yield from _show_bar(title, total, unit, first)
    else:
        yield _write_lines(title, total, unit, first, sys.stderr)


def _show_bar(title: str, total: int, unit: str, first: int) -> Iterator[Advance]:
    # rich takes 0.1 s to import and is useless without a terminal.
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit),
        TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=first, note="")
        yield lambda done, note: bar.update(task, completed=done, note=note)


def _write_lines(title: str, total: int, unit: str, first: int, out: TextIO) -> Advance:
    started_s = time.monotonic()
    last_s = started_s

    def advance(done: int, note: str) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s < LINE_EVERY_S and done < total:
            return
        last_s = now_s
        rate = (done - first) / max(now_s - started_s, 1e-9)
        left_min = (total - done) / rate / 60 if rate > 0 else float("inf")
        out.write(f"{title}: {done} of {total} {unit}, {rate:.0f} per second, {left_min:.1f} min left, {note}\n")
        out.flush()

    return advance
