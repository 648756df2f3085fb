"""The report's plots, as PNG bytes. The only module of `calibration` that imports matplotlib; it computes no metrics."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Final

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from handmap.types.arrays import Float32, Float64
from handmap.types.joints import BONES, HAND21

from .contact_sheet import shade

COLOURS: Final = {"fp32": "#777777", "fp16": "#3b7dd8", "int8": "#d8613b"}
OTHER: Final = "#b89b3b"
TRUE_WITHIN: Final = 0.2  # expected errors count as accurate if the mean error is within this fraction of them


def draw_by_joint(means_mm: Mapping[str, Mapping[str, float]], title: str) -> bytes:
    """A bar chart of the mean per joint in mm, grouped by precision."""
    joints = list(next(iter(means_mm.values())))
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(means_mm)
    for place, (precision, by_joint) in enumerate(means_mm.items()):
        where = np.arange(len(joints)) + (place - (len(means_mm) - 1) / 2) * width
        axes.bar(
            where, [by_joint[name] for name in joints], width, label=precision, color=COLOURS.get(precision, OTHER)
        )
    axes.set_xticks(range(len(joints)), joints, rotation=60, ha="right", fontsize=7)
    axes.set_ylabel("mm")
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=8)
    return _png(figure)


def draw_layers(names: Sequence[str], costs_mm: Sequence[float], is_float: Sequence[bool], body_mm: float) -> bytes:
    """The error of each layer alone in INT8, worst first; float layers are marked."""
    figure = Figure(figsize=(8, 0.8 + 0.22 * len(names)), layout="constrained")
    axes = figure.subplots()
    colors = [OTHER if left else COLOURS["int8"] for left in is_float]
    axes.barh(range(len(names)), costs_mm, color=colors)
    axes.axvline(body_mm, color=COLOURS["fp16"], linestyle="--", linewidth=1)
    axes.set_yticks(
        range(len(names)),
        [f"{name} (float)" if left else name for name, left in zip(names, is_float, strict=True)],
        fontsize=7,
    )
    axes.invert_yaxis()
    axes.set_xlabel("mean joint distance from FP32 with only this layer in INT8, mm; dashed: no layer in INT8")
    return _png(figure)


def draw_reliability(deciles: Mapping[str, Sequence[Mapping[str, float]]]) -> bytes:
    """Actual against expected mean error of each group, by precision; equal on the line, within TRUE_WITHIN in the band."""
    figure = Figure(figsize=(5.2, 4.6), layout="constrained")
    axes = figure.subplots()
    ends = [value for groups in deciles.values() for group in groups for value in group.values() if value > 0]
    line = np.geomspace(0.8 * min(ends), 1.25 * max(ends), 50) if ends else np.ones(1)
    axes.fill_between(line, (1 - TRUE_WITHIN) * line, (1 + TRUE_WITHIN) * line, color="#eeeeee")
    axes.plot(line, line, color="#aaaaaa", linewidth=1)
    for precision, groups in deciles.items():
        expected, true = ([group[key] for group in groups] for key in ("expected_mm", "true_mm"))
        axes.plot(expected, true, "o-", markersize=4, linewidth=1, label=precision, color=COLOURS.get(precision, OTHER))
    for scale, axis in ((axes.set_xscale, axes.xaxis), (axes.set_yscale, axes.yaxis)):
        scale("log")
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("expected error, mm")
    axes.set_ylabel("actual error, mm")
    axes.legend(fontsize=8)
    return _png(figure)


def draw_scales(activations: Float64, weights: Float64) -> bytes:
    """Histograms of the step sizes of activations and of weight channels, on a logarithmic axis."""
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, values, name in zip(axes, (activations, weights), ("activations", "weight channels"), strict=True):
        axis.hist(np.log10(values), bins=30, color=COLOURS["int8"])
        axis.set_xlabel(f"log10 of step size, {name}")
    return _png(figure)


def draw_coverage(coverage: Mapping[str, Mapping[str, int]]) -> bytes:
    """The number of crops in each bin of each quality."""
    figure = Figure(figsize=(10, 2.4), layout="constrained")
    for axis, (quality, bins) in zip(
        figure.subplots(1, len(coverage), squeeze=False)[0], coverage.items(), strict=True
    ):
        axis.bar(range(len(bins)), list(bins.values()), color=COLOURS["fp16"])
        axis.set_xticks(range(len(bins)), list(bins), fontsize=6, rotation=90 if len(bins) > 10 else 0)
        axis.set_title(quality, fontsize=9)
    return _png(figure)


def draw_frames(
    crops: Float32, joints: Mapping[str, Float32], captions: Sequence[str], names: tuple[str, ...]
) -> bytes:
    """Crops (N, 1, 128, 128) with the skeletons of each precision; joints are (N, J, 3) in half cube sides."""
    columns = 5
    rows = -(-len(crops) // columns)
    figure = Figure(figsize=(2.1 * columns, 2.3 * rows), layout="constrained")
    for place, axis in enumerate(figure.subplots(rows, columns, squeeze=False).ravel()):
        axis.set_axis_off()
        if place >= len(crops):
            continue
        size = crops.shape[-1]
        axis.imshow(shade(crops[place, 0]), cmap="gray", vmin=0, vmax=255)
        axis.set_title(captions[place], fontsize=7)
        for precision, xyz in joints.items():
            pixels = (xyz[place, :, :2] + 1) * (size / 2) - 0.5
            color = COLOURS.get(precision, OTHER)
            axis.plot(pixels[:, 0], pixels[:, 1], ".", markersize=2.5, color=color, label=precision)
            for parent, child in BONES if names == HAND21 else ():
                axis.plot(*pixels[[parent, child]].T, linewidth=0.8, color=color)
        axis.set_xlim(-0.5, size - 0.5)
        axis.set_ylim(size - 0.5, -0.5)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
