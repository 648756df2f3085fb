"""The tables of ablation.md, made from ablation.json and put between the page's two marks."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from handmap.files.atomic import write_file
from handmap.types.errors import ConfigError

from .ablation_figures import DOUBTFUL_SHARE, RENDERED, SIGNALS, VAL
from .ablation_results import (
    HEAD_NAMES,
    HEADS,
    KIND_NAMES,
    KINDS,
    Ablation,
    RunFigures,
    Spread,
    most_to_find,
    spread,
    spread_of,
    validation_near,
)

FIRST, LAST = "<!-- tables: first -->", "<!-- tables: last -->"
EARLY_SAMPLES: Final = (25_600, 51_200, 102_400)


def put_tables(page: Path, found: Ablation) -> None:
    """Replaces what stands between the marks of a page.

    Raises ConfigError where it has no marks.
    """
    before, first, rest = page.read_text().partition(FIRST)
    _, last, after = rest.partition(LAST)
    if not first or not last:
        raise ConfigError(f"ablation: page {str(page)!r} lacks the lines {FIRST!r} and {LAST!r}; put them back")
    write_file(page, f"{before}{FIRST}\n\n{all_tables(found)}\n\n{LAST}{after}".encode())


def all_tables(found: Ablation) -> str:
    """Every table with its heading, as Markdown."""
    parts = {
        "Errors": error_table(found),
        "The same seed with and without maps": difference_table(found),
        "Early training": early_table(found),
        "Finding hands, and doubt": signal_table(found),
        "What was run": budget_note(found),
    }
    return "\n\n".join(f"### {title}\n\n{text}" for title, text in parts.items())


def error_table(found: Ablation) -> str:
    """Errors of each combination: on its validation set, on held-out samples, and on synthetic:val."""
    rows = []
    for head, kind in _combinations():
        runs = found.of(head, kind)
        cells = ["not run"] + 5 * [""]
        if runs:
            cells = [
                str(len(runs)),
                _with_spread(spread_of(runs, lambda run: run.best.mean_mm)),
                *(
                    _with_spread(spread_of(runs, figure))
                    for name in (RENDERED, VAL)
                    for figure in (_error(name, "mean_mm"), _error(name, "median_mm"))
                ),
            ]
        rows.append([HEAD_NAMES[head], KIND_NAMES[kind], *cells])
    columns = [
        "head",
        "maps",
        "seeds",
        "validation, mean",
        "held out, mean",
        "median",
        "`synthetic:val`, mean",
        "median",
    ]
    return _table(columns, rows)


def difference_table(found: Ablation) -> str:
    """Weighted geodesic maps minus none, seed by seed: the mean with its 95 % interval, and whether that leaves 0 out."""
    figures = {
        "validation, mm": lambda run: run.best.mean_mm,
        f"validation at {EARLY_SAMPLES[0]:,} samples, mm": lambda run: run.near(EARLY_SAMPLES[0]).mean_mm,
        "held out, mm": _error(RENDERED, "mean_mm"),
        "`synthetic:val`, mm": _error(VAL, "mean_mm"),
    }
    rows = []
    for head in HEADS:
        pairs = found.pairs(head, ("none", "edt2m"))
        for name, figure in figures.items() if pairs else ():
            away = spread(figure(second) - figure(first) for first, second in pairs)
            seeds = ", ".join(str(first.seed) for first, _ in pairs)
            values = ", ".join(f"{value:+.2f}" for value in away.values)
            rows.append([HEAD_NAMES[head], name, seeds, values, _interval(away), _verdict(away)])
        if not pairs:
            rows.append([HEAD_NAMES[head], "", "none yet", "", "", ""])
    return _table(["head", "error", "seeds", "maps minus none", "mean, 95 % interval", "significant"], rows)


def early_table(found: Ablation) -> str:
    """Mean validation error along training."""
    rows = []
    for head, kind in _combinations():
        runs = found.of(head, kind)
        if runs:
            points = [spread_of(runs, validation_near(samples)) for samples in (*EARLY_SAMPLES, found.total_samples)]
            rows.append([HEAD_NAMES[head], KIND_NAMES[kind], *(_with_spread(point) for point in points)])
    columns = [f"{samples:,}" for samples in (*EARLY_SAMPLES, found.total_samples)]
    return _table(["head", "maps", *columns], rows)


def signal_table(found: Ablation) -> str:
    """What each set of signals is good for."""
    rows = []
    for head, kind in _combinations():
        runs = found.of(head, kind)
        for name in [name for name in SIGNALS if runs and name in runs[0].held_out.signals]:
            rows.append([HEAD_NAMES[head], KIND_NAMES[kind], *_signal_cells(name, runs)])
        if runs and not runs[0].held_out.signals:
            chance = ["has none", "0.5", "0", "1", f"{100 * DOUBTFUL_SHARE:.0f} %", _percent(runs, most_to_find)]
            rows.append([HEAD_NAMES[head], KIND_NAMES[kind], *chance])
    columns = ["head", "maps", "signal", "hands, AUROC", "rank correlation", "AUSE", "found", "at most"]
    return _table(columns, rows)


def budget_note(found: Ablation) -> str:
    """Which runs the tables are about, and what a network of each kind costs."""
    rows = []
    for head, kind in _combinations():
        runs = found.of(head, kind)
        if runs:
            size = [f"{runs[0].parameters / 1e6:.2f} M", f"{runs[0].multiply_adds / 1e6:.1f} M"]
            rows.append([HEAD_NAMES[head], KIND_NAMES[kind], ", ".join(str(run.seed) for run in runs), *size])
    said = (
        f"{len(found.runs)} runs of {found.total_samples:,} samples; scored on {found.rendered_samples:,} rendered samples "
        f"and {found.val_hands:,} hands."
    )
    return said + "\n\n" + _table(["head", "maps", "seeds", "parameters", "multiply-adds"], rows)


def _combinations() -> list[tuple[str, str]]:
    return [(head, kind) for head in HEADS for kind in KINDS]


def _error(name: str, figure: str) -> Callable[[RunFigures], float]:
    return lambda run: float(getattr(run.held_out.errors[name], figure))


def _signal_cells(name: str, runs: list[RunFigures]) -> list[str]:
    figures = {"auroc_hand": 3, "rank_correlation": 2, "ause": 2}
    cells = [_with_spread(spread_of(runs, _signal(name, figure)), digits) for figure, digits in figures.items()]
    return [name, *cells, _percent(runs, _signal(name, "found_share")), _percent(runs, most_to_find)]


def _percent(runs: list[RunFigures], figure: Callable[[RunFigures], float]) -> str:
    return f"{100 * spread_of(runs, figure).mean:.0f} %"


def _signal(name: str, figure: str) -> Callable[[RunFigures], float]:
    return lambda run: float(getattr(run.held_out.signals[name], figure))


def _with_spread(of: Spread, digits: int = 2) -> str:
    return f"{of.mean:.{digits}f}" + ("" if math.isnan(of.deviation) else f" ± {of.deviation:.{digits}f}")


def _interval(of: Spread) -> str:
    mean = f"{of.mean:+.2f}"
    return mean if math.isnan(of.half_interval) else f"{mean} ± {of.half_interval:.2f}"


def _verdict(of: Spread) -> str:
    if math.isnan(of.half_interval):
        return "one seed"
    return "yes" if abs(of.mean) > of.half_interval else "no"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
