"""Draws ablation.png: error against samples, errors at the end, and what each signal is good for."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Final

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from handmap.files.atomic import write_file

from .ablation_figures import DOUBTFUL_SHARE, RENDERED, SIGNALS
from .ablation_results import (
    HEAD_NAMES,
    HEADS,
    KIND_NAMES,
    KINDS,
    Ablation,
    RunFigures,
    most_to_find,
    spread,
    spread_of,
    validation_near,
)

COLORS: Final = dict(zip(KINDS, ("#444444", "#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#d55e00"), strict=True))
LINES: Final = {"votes": "-", "fully_connected": "--"}
HATCHES: Final = {"votes": "", "fully_connected": "//"}
ROOM_ABOVE: Final = 1.12
CHANCE_AUROC: Final = 0.5


def draw(path: Path, found: Ablation) -> None:
    """Draws every panel into a PNG."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(13, 9), layout="constrained")
    (curves, ends), (hands, doubt) = figure.subplots(2, 2)
    _draw_curves(curves, found)
    _draw_ends(ends, found)
    _draw_signals(hands, found, lambda run, name: run.held_out.signals[name].auroc_hand, CHANCE_AUROC)
    hands.set_xlim(CHANCE_AUROC, 1)
    hands.set_title("finding hands", fontsize=10)
    hands.set_xlabel("AUROC of hand against negative; 0.5 is chance")
    _draw_signals(doubt, found, lambda run, name: 100 * run.held_out.signals[name].found_share, 100 * DOUBTFUL_SHARE)
    most = 100 * spread_of(list(found.runs.values()), most_to_find).mean
    doubt.axvline(most, color="gray", linewidth=0.8, linestyle="--")
    doubt.set_xlim(100 * DOUBTFUL_SHARE, ROOM_ABOVE * most)
    doubt.set_title("doubt: joints off by > 20 mm in the most doubtful fifth", fontsize=10)
    doubt.set_xlabel(f"% found; chance 20, dashed: at most {most:.0f}")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    write_file(path, buffer.getvalue())


def _draw_curves(axes: Axes, found: Ablation) -> None:
    """Mean validation error over the seeds, with the range of the seeds."""
    for head, kind, runs in _finished(found):
        samples = [point.samples for point in runs[0].history]
        at = [spread_of(runs, validation_near(one)) for one in samples]
        label = f"{HEAD_NAMES[head]}, {KIND_NAMES[kind]} ({len(runs)})"
        axes.plot(
            samples, [one.mean for one in at], LINES[head], color=COLORS[kind], marker="o", markersize=3, label=label
        )
        low, high = ([pick(one.values) for one in at] for pick in (min, max))
        axes.fill_between(samples, low, high, color=COLORS[kind], alpha=0.18, linewidth=0)
    axes.xaxis.set_major_formatter(lambda samples, _: f"{samples / 1000:.0f} k")
    axes.set_xlabel("samples")
    axes.set_ylabel("validation error, mean, mm")
    axes.set_title("along training; band: range over seeds", fontsize=10)
    axes.legend(fontsize=8, title="head, maps (seeds)", title_fontsize=8)


def _draw_ends(axes: Axes, found: Ablation) -> None:
    """Mean held-out error of each combination, a dot for each seed; what was not run says so."""
    width = 0.4
    for row, head in enumerate(HEADS):
        for column, kind in enumerate(KINDS):
            at, runs = column + (row - 0.5) * width, found.of(head, kind)
            if not runs:
                axes.text(at, 0.3, "not run", rotation=90, ha="center", va="bottom", fontsize=8, color="gray")
                continue
            error = spread_of(runs, lambda run: run.held_out.errors[RENDERED].mean_mm)
            axes.bar(at, error.mean, width * 0.9, color=COLORS[kind], hatch=HATCHES[head], edgecolor="white")
            axes.plot([at] * len(runs), error.values, "k.", markersize=5)
            axes.text(at, max(error.values) + 0.3, f"{error.mean:.1f}", ha="center", va="bottom", fontsize=8)
    axes.set_ylim(0, ROOM_ABOVE * max(run.held_out.errors[RENDERED].mean_mm for run in found.runs.values()))
    axes.set_xlim(-0.6, len(KINDS) - 0.4)
    axes.set_xticks(range(len(KINDS)), [KIND_NAMES[kind].replace(" ", "\n") for kind in KINDS], fontsize=8)
    axes.set_ylabel("held-out error, mean, mm")
    axes.set_title(f"after {found.total_samples:,} samples; hatched: fully connected", fontsize=10)


def _draw_signals(axes: Axes, found: Ablation, figure: Callable[[RunFigures, str], float], chance: float) -> None:
    """A bar for each combination and signal, a dot for each seed; networks without a signal are named."""
    names: list[str] = []
    for head, kind, runs in _finished(found):
        signals = [name for name in SIGNALS if name in runs[0].held_out.signals]
        for signal in signals or [""]:
            row = len(names)
            if signal:
                one = spread(figure(run, signal) for run in runs)
                axes.barh(row, one.mean, 0.7, color=COLORS[kind], hatch=HATCHES[head], edgecolor="white")
                axes.plot(one.values, [row] * len(runs), "k.", markersize=5)
            else:
                axes.text(chance, row, " no signal, so chance", va="center", fontsize=8, color="gray")
            names.append(f"{HEAD_NAMES[head]}, {KIND_NAMES[kind]}" + (f": {signal}" if signal else ""))
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)


def _finished(found: Ablation) -> list[tuple[str, str, list[RunFigures]]]:
    known = [(head, kind, found.of(head, kind)) for head in HEADS for kind in KINDS]
    return [(head, kind, runs) for head, kind, runs in known if runs]
