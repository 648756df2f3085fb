"""The table of `handmap status --watch` on a terminal: what matters most comes first, so that a small one shows it."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .ask_daemon import Answer
from .snapshot import Snapshot
from .status import camera_rate, gpu_text, heat_text, span

STYLES: Final = {"TRACKING": "bold green", "NO_HAND": "bold cyan", "NO_CAMERA": "bold red", "DEGRADED": "bold yellow"}
LOSSES: Final = ("dropped", "skipped", "throttled", "late", "refused")
HISTORY: Final = 60
BARS: Final = "▁▂▃▄▅▆▇█"
WIDE: Final = 72  # columns from which on the tables of hands and stages have all of theirs


class History:
    """What was seen before the newest answer."""

    def __init__(self) -> None:
        self.rates_hz: deque[float] = deque(maxlen=HISTORY)
        self.last: Snapshot | None = None
        self.seen_s = 0.0  # when, time.monotonic()

    def add(self, facts: Snapshot | None) -> None:
        """Takes an answer."""
        self.rates_hz.append(0.0 if facts is None else facts.rate_hz)
        if facts is not None:
            self.last, self.seen_s = facts, time.monotonic()


@contextmanager
def live_table(where: str) -> Iterator[Callable[[Answer], None]]:
    """Draws on the whole terminal until the block ends, which restores what was there; yields what draws an answer."""
    console, history = Console(), History()
    with Live(console=console, screen=True, auto_refresh=False) as live:

        def update(answer: Answer) -> None:
            before = history.last
            history.add(answer.facts)
            live.update(draw(answer, before, history, where, console), refresh=True)

        yield update


def draw(answer: Answer, before: Snapshot | None, history: History, where: str, console: Console) -> RenderableType:
    """All of it: the state, or why there is no answer, and the numbers of the newest answer that there was."""
    facts = answer.facts
    hint = Text("q or Ctrl-C ends", style="dim")
    if facts is None:
        parts: list[RenderableType] = [Text(answer.problem, style="bold red")]
        if history.last is not None:
            ago = f"last answer {span(time.monotonic() - history.seen_s)} ago: {history.last.state}; asked every second"
            parts.append(Text(ago))
        return Group(*parts, hint)
    bars = _bars(tuple(history.rates_hz)) if console.encoding.startswith("utf") else ""
    is_narrow = console.width < WIDE
    return Group(
        _head(facts, where),
        _rows(facts, before, bars),
        *([_hands(facts, is_narrow)] if facts.hand_qualities else []),
        *([_stages(facts, is_narrow)] if facts.stages else []),
        hint,
    )


def _head(facts: Snapshot, where: str) -> Text:
    reason = f" ({facts.reason})" if facts.reason else ""
    state = (facts.state, STYLES.get(facts.state, "bold"))
    return Text.assemble(state, reason, f"  running for {span(facts.uptime_s)}, {where}")


def _rows(facts: Snapshot, before: Snapshot | None, bars: str) -> Table:
    table = _table("", "")
    table.columns[0].style, table.columns[0].min_width = "dim", 8
    table.columns[1].no_wrap, table.columns[1].overflow = False, "fold"  # of what is wrong, no word may be missing
    age = facts.stages.get("age")
    heat = facts.thermal
    # As Text: a name with brackets is no markup.
    table.add_row("frames/s", Text(f"{facts.rate_hz:.1f} {bars}", no_wrap=True, overflow="ellipsis"))
    if age is not None:
        table.add_row("age", Text(f"{age.p50_ms:.1f} ms, one in a hundred above {age.p99_ms:.1f} ms"))
    table.add_row("camera", Text(f"{camera_rate(facts)}; {facts.camera}" if facts.camera else "not opened yet"))
    table.add_row("frames", _frames(facts, before))
    table.add_row("sent", _sent(facts))
    table.add_row("engine", Text(f"{facts.engine or 'not opened yet'} {facts.precision}, bundle {facts.bundle}"))
    table.add_row("restarts", Text(", ".join(f"{count} {name}" for name, count in facts.restarts.items())))
    table.add_row("heat", Text(heat_text(heat.band, heat.every_nth_frame, heat.temperatures_c)))
    if facts.gpu_memory is not None:
        table.add_row("gpu", Text(gpu_text(facts.gpu_memory)))
    if facts.warning:
        table.add_row("warning", Text(facts.warning, style="yellow"))
    if facts.reload.refusal:
        table.add_row("reload", Text(f"refused: {facts.reload.refusal}", style="yellow"))
    return table


def _frames(facts: Snapshot, before: Snapshot | None) -> Text:
    """The total published, and those of losses that there were; one that has grown since the answer before stands out."""
    text = Text(f"{facts.published} published")
    for name in LOSSES:
        total: int = getattr(facts, name)
        if not total:
            continue
        grown = 0 if before is None or before.pid != facts.pid else total - int(getattr(before, name))
        text.append(f", {total} {name}", style="yellow" if grown else "")
        if grown:
            text.append(f" (+{grown})", style="bold yellow")
    return text


def _sent(facts: Snapshot) -> Text:
    control = facts.control
    packets = sum(target.packets for target in facts.targets)
    words = [f"{packets} packets to {len(facts.targets)} target{'' if len(facts.targets) == 1 else 's'}"]
    if control is not None:
        words.append("control port not open" if control.problem else f"{len(control.subscribers)} subscribers")
    if facts.preview is not None and facts.preview.problem:
        words.append("preview not open")
    elif facts.preview is not None and facts.preview.viewers:
        words.append(f"{facts.preview.viewers} viewer{'' if facts.preview.viewers == 1 else 's'}")
    errors = sum(target.errors for target in facts.targets)
    is_failing = any(target.is_failing for target in facts.targets)
    text = Text(", ".join([*words, f"{errors} errors"]))
    if is_failing:
        text.append(" FAILING NOW", style="bold red")
    return text


def _hands(facts: Snapshot, is_narrow: bool) -> Table:
    headings = ["hand", "error mm", "fit mm", "dist m", *([] if is_narrow else ["confidence", "no depth", "in image"])]
    table = _table(*headings)
    for hand in facts.hand_qualities:
        fit = "-" if hand.residual_mm is None else f"{hand.residual_mm:.1f}"
        missing = "-" if hand.missing_depth is None else f"{100 * hand.missing_depth:.0f} %"
        cells = [f"{hand.side} {hand.track_id}", f"{hand.expected_error_mm:.1f}", fit, f"{hand.distance_mm / 1e3:.2f}"]
        table.add_row(
            *cells, *([] if is_narrow else [f"{hand.confidence:.2f}", missing, f"{hand.joints_in_image} of 21"])
        )
    return table


def _stages(facts: Snapshot, is_narrow: bool) -> Table:
    table = _table("stage", "p50 ms", "p99 ms", *([] if is_narrow else ["max ms"]))
    for name, stage in facts.stages.items():
        cells = [f"{stage.p50_ms:.2f}", f"{stage.p99_ms:.2f}", *([] if is_narrow else [f"{stage.max_ms:.2f}"])]
        table.add_row(name, *cells)
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=bool(headings[0]), header_style="dim", pad_edge=False)
    for index, heading in enumerate(headings):
        is_number = bool(heading) and index > 0
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=True, overflow="ellipsis")
    return table


def _bars(rates_hz: tuple[float, ...]) -> str:
    """The rates as bars, the highest of them as the full height."""
    most = max(rates_hz, default=0.0)
    return "".join(BARS[round((len(BARS) - 1) * rate / most)] for rate in rates_hz) if most > 0 else ""
