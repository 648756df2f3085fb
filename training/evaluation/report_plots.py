"""The figures of an evaluation's report, as SVG and PNG bytes: success curves, errors per joint, published means."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import cycle
from typing import Final

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from handmap.metrics.error_figures import CURVES, MAX_THRESHOLD_MM, success_curve
from handmap.types.arrays import Float64

from ..datasets.published import PublishedMean
from ..trainer.legend_names import name_entries, shown_names

# Okabe and Ito's colors, which color-blind people can tell apart; beyond them, other strokes.
COLORS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444")
STROKES: Final = ("-", "--", ":", "-.")
OURS: Final = "#d55e00"
OTHERS: Final = "#b8bcc2"
DPI: Final = 110
LEGEND_PT: Final = 8
ENTRY_IN, STROKE_IN = 0.165, 0.6  # height of an entry of a legend; width besides its text


def draw_curves(error_mm: Mapping[str, Float64]) -> dict[str, bytes]:
    """The three success curves of each method's errors (N, J), with the areas under them in the legend below."""
    names = shown_names(list(error_mm))
    curves = {kind: [success_curve(error, kind) for error in error_mm.values()] for kind in CURVES}
    areas = [", ".join(f"{curve.auc:.3f}" for curve in row) for row in zip(*curves.values(), strict=True)]
    entries = [f"{name}: {area}" for name, area in zip(names, areas, strict=True)]
    figure, columns = _figure(13, 4.7, entries)
    places = figure.subplots(1, len(CURVES), sharey=True)
    for axes, (kind, what) in zip(places, CURVES.items(), strict=True):
        lines: list[Artist] = []
        for curve, (color, stroke) in zip(curves[kind], _looks(), strict=False):
            lines += axes.plot(curve.thresholds_mm, 100 * curve.shares, stroke, color=color, linewidth=1.6)
        axes.set_title(f"% of {what}", fontsize=10)
        axes.set_xlabel("D, mm")
        axes.set_xlim(0, MAX_THRESHOLD_MM)
        axes.set_ylim(0, 100)
        axes.grid(color="#e4e4e4")
    _add_legend(figure, lines, entries, columns, "areas under the curves, from left to right")
    return _encode(figure)


def draw_per_joint(error_mm: Mapping[str, Float64], joint_names: Sequence[str]) -> dict[str, bytes]:
    """The mean error of each joint, and of all, by method."""
    labels = [*joint_names, "mean"]
    names = shown_names(list(error_mm))
    figure, columns = _figure(4.5 + 0.42 * len(labels), 4.4, names)
    axes = figure.subplots()
    width = 0.82 / len(error_mm)
    bars: list[Artist] = []
    for place, ((_, error), (color, stroke)) in enumerate(zip(error_mm.items(), _looks(), strict=False)):
        where = np.arange(len(labels)) + (place - (len(error_mm) - 1) / 2) * width
        heights = [*(_mean(column) for column in error.T), _mean(error)]
        hatch = "" if stroke == STROKES[0] else "///"
        drawn = axes.bar(where, heights, width, color=color, hatch=hatch, edgecolor="white", linewidth=0.4)
        bars.append(drawn.patches[0])
    axes.axvline(len(joint_names) - 0.5, color="#999999", linewidth=0.8)
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.set_xticks(range(len(labels)), labels, rotation=50, ha="right", rotation_mode="anchor", fontsize=9)
    axes.set_ylabel("mean error, mm")
    axes.grid(axis="y", color="#e4e4e4")
    axes.set_axisbelow(True)
    _add_legend(figure, bars, names, columns, "")
    return _encode(figure)


def draw_published(means: Sequence[PublishedMean], ours_mm: Mapping[str, float], dataset: str) -> dict[str, bytes]:
    """Published mean errors as bars, smallest first, with ours among them."""
    rows = [(f"{one.method} ({one.venue})", one.mean_mm, OTHERS) for one in means]
    ours = zip(shown_names(list(ours_mm)), ours_mm.values(), strict=True)
    rows = sorted(rows + [(name, mean_mm, OURS) for name, mean_mm in ours], key=lambda row: row[1])
    figure = Figure(figsize=(8.5, 1.2 + 0.25 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(rows)), [mean_mm for _, mean_mm, _ in rows], color=[color for *_, color in rows])
    for place, (_, mean_mm, _) in enumerate(rows):
        axes.text(mean_mm, place, f" {mean_mm:.3f}", va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows], fontsize=8, parse_math=False)
    for label, (*_, color) in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if color == OURS else "normal")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.12 * max(mean_mm for _, mean_mm, _ in rows))
    axes.set_xlabel(f"mean error on {dataset}, mm")
    axes.set_title("scored here (orange, bold) and published (gray)", fontsize=10)
    return _encode(figure)


def _looks() -> "cycle[tuple[str, str]]":
    """Color and stroke of each method in turn."""
    return cycle([(color, stroke) for stroke in STROKES for color in COLORS])


def _mean(error_mm: Float64) -> float:
    labeled = error_mm[np.isfinite(error_mm)]
    return float(labeled.mean()) if len(labeled) else 0.0


def _figure(width_in: float, height_in: float, entries: Sequence[str]) -> tuple[Figure, int]:
    """A figure with room below for a legend of these entries, and how many columns of them fit."""
    font = get_font(findfont(FontProperties()))
    font.set_size(LEGEND_PT, 72)
    widths_in = []
    for entry in entries:
        font.set_text(entry)
        widths_in.append(font.get_width_height()[0] / 64 / 72)  # 1/64 px
    columns = min(max(1, int(width_in / (max(widths_in) + STROKE_IN))), len(entries))
    height_in += ENTRY_IN * -(-len(entries) // columns)
    return Figure(figsize=(width_in, height_in), layout="constrained"), columns


def _add_legend(figure: Figure, shown: Sequence[Artist], entries: Sequence[str], columns: int, title: str) -> None:
    """A legend below the plots: over the curves there is no room for many or long names."""
    places = [str(place) for place in range(len(entries))]
    legend = figure.legend(
        shown, places, loc="outside lower left", ncols=columns, title=title or None, frameon=False, alignment="left",
        fontsize=LEGEND_PT, title_fontsize=LEGEND_PT,
    )  # fmt: skip
    name_entries(legend, entries)


def _encode(figure: Figure) -> dict[str, bytes]:
    """The figure as a file of each suffix.

    Text as outlines and ids by a fixed salt: a picture looks the same everywhere and is the same in every run.
    """
    files = {}
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "handmap"}):
        for suffix, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
            buffer = BytesIO()
            figure.savefig(buffer, format=suffix, dpi=DPI, metadata=metadata)
            files[suffix] = buffer.getvalue()
    return files
