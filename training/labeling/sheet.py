"""The contact sheet of a labeled recording: frames that were kept and frames that were dropped, with the labeled hand over the depth."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from handmap.files.atomic import write_file
from handmap.recording.datasets import LabeledFrame
from handmap.types.intrinsics import project
from handmap.types.joints import BONES, FINGERTIPS

from ..evaluation.fitted_sheet import FINGERS, draw_depth, show_around

COLUMNS: Final = 6
KEPT, DROPPED = "#2e9d57", "#c8482e"


@dataclass(frozen=True)
class JudgedFrame:
    """A labeled frame, and why it is dropped, "" for one that is kept; figure is what spoke against it, else its labels' doubt."""

    labeled: LabeledFrame
    reason: str
    figure: str


def draw_sheet(path: Path, tiles: Sequence[JudgedFrame]) -> None:
    """Draws the tiles into a PNG.

    Raises FileError where it cannot be written.
    """
    matplotlib.use("Agg")
    rows = max(-(-len(tiles) // COLUMNS), 1)
    figure = Figure(figsize=(2.2 * COLUMNS, 2.45 * rows + 0.4), layout="constrained")
    places = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for place in places:
        place.set_xticks([])
        place.set_yticks([])
        place.set_visible(False)
    for place, tile in zip(places, tiles, strict=False):
        place.set_visible(True)
        _draw_tile(place, tile)
    figure.suptitle("green: kept, with the doubt of its labels; red: dropped, and why", fontsize=10)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    write_file(path, buffer.getvalue())


def _draw_tile(axes: Axes, tile: JudgedFrame) -> None:
    labeled, frame = tile.labeled, tile.labeled.frame
    has_hand = bool(labeled.is_labeled.all())
    measured = frame.depth[frame.depth > 0]
    middle = labeled.center_mm[2] if has_hand else np.median(measured) * frame.depth_unit_mm if len(measured) else 500
    draw_depth(axes, frame, float(middle))
    if has_hand:
        places = project(np, labeled.xyz_camera_mm.astype(np.float64), frame.intrinsics)
        for number, (parent, child) in enumerate(BONES):
            axes.plot(*places[[parent, child]].T, color=FINGERS[number // 4], linewidth=1.6)
        for tip, color in zip(FINGERTIPS, FINGERS, strict=True):
            axes.plot(*places[tip], "o", color=color, markersize=3)
        show_around(axes, labeled.center_mm, frame.intrinsics)
    color = DROPPED if tile.reason else KEPT
    for spine in axes.spines.values():
        spine.set(color=color, linewidth=3)
    axes.set_title(f"frame {frame.frame_number}: {tile.reason or 'kept,'} {tile.figure}", fontsize=7, color=color)
