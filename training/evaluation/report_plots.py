"""The figures of an evaluation's report, as SVG and PNG bytes: success curves, errors per joint, published means."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import cycle
from typing import Final

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from handmap.metrics.error_figures import CURVES, MAX_THRESHOLD_MM, success_curve
from handmap.types.arrays import Float64

from ..datasets.published import PublishedMean

# Okabe and Ito's colors, which color-blind people can tell apart; beyond them, other strokes.
COLORS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444")
STROKES: Final = ("-", "--", ":", "-.")
OURS: Final = "#d55e00"
OTHERS: Final = "#b8bcc2"
DPI: Final = 110


def draw_curves(error_mm: Mapping[str, Float64]) -> dict[str, bytes]:
    """The three success curves of each method's errors (N, J), with mean error and area under the curve in the legends."""
    figure = Figure(figsize=(13, 4.4 + 0.12 * len(error_mm)), layout="constrained")
    places = figure.subplots(1, len(CURVES), sharey=True)
    for axes, (kind, what) in zip(places, CURVES.items(), strict=True):
        entries = []
        for (name, error), (color, stroke) in zip(error_mm.items(), _looks(), strict=False):
            curve = success_curve(error, kind)
            (line,) = axes.plot(curve.thresholds_mm, 100 * curve.shares, stroke, color=color, linewidth=1.6)
            entries.append((line, f"{name}: {curve.auc:.3f}"))
        axes.set_title(f"% of {what}", fontsize=10)
        axes.set_xlabel("D, mm")
        axes.set_xlim(0, MAX_THRESHOLD_MM)
        axes.set_ylim(0, 100)
        axes.grid(color="#e4e4e4")
        legend = axes.legend(
            [line for line, _ in entries], _places(entries), loc="lower right", title="area under the curve", fontsize=8
        )
        _name(legend, [text for _, text in entries])
    return _encode(figure)


def draw_per_joint(error_mm: Mapping[str, Float64], joint_names: Sequence[str]) -> dict[str, bytes]:
    """The mean error of each joint, and of all, by method."""
    labels = [*joint_names, "mean"]
    figure = Figure(figsize=(4.5 + 0.42 * len(labels), 4.2 + 0.12 * len(error_mm)), layout="constrained")
    axes = figure.subplots()
    width, bars = 0.82 / len(error_mm), []
    for place, ((_, error), (color, stroke)) in enumerate(zip(error_mm.items(), _looks(), strict=False)):
        where = np.arange(len(labels)) + (place - (len(error_mm) - 1) / 2) * width
        heights = [*(_mean(column) for column in error.T), _mean(error)]
        hatch = "" if stroke == STROKES[0] else "///"
        bars.append(axes.bar(where, heights, width, color=color, hatch=hatch, edgecolor="white", linewidth=0.4))
    axes.axvline(len(joint_names) - 0.5, color="#999999", linewidth=0.8)
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.set_xticks(range(len(labels)), labels, rotation=50, ha="right", rotation_mode="anchor", fontsize=9)
    axes.set_ylabel("mean error, mm")
    axes.grid(axis="y", color="#e4e4e4")
    axes.set_axisbelow(True)
    axes.set_ylim(0, axes.get_ylim()[1] * (1.06 + 0.07 * len(error_mm)))
    _name(axes.legend(bars, _places(bars), loc="upper left", fontsize=8), list(error_mm))
    return _encode(figure)


def draw_published(means: Sequence[PublishedMean], ours_mm: Mapping[str, float], dataset: str) -> dict[str, bytes]:
    """Published mean errors as bars, smallest first, with ours among them."""
    rows = [(f"{one.method} ({one.venue})", one.mean_mm, OTHERS) for one in means]
    rows = sorted(rows + [(name, mean_mm, OURS) for name, mean_mm in ours_mm.items()], key=lambda row: row[1])
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


def _places(entries: Sequence[object]) -> list[str]:
    return [str(place) for place in range(len(entries))]


def _name(legend: Legend, names: Sequence[str]) -> None:
    """Gives the entries of a legend their names as they are: a leading underscore or a dollar sign has no meaning."""
    legend.get_title().set_fontsize(8)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)


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
