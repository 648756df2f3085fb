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
from handmap.types.arrays import Float64
from handmap.types.intrinsics import project
from handmap.types.joints import BONES, FINGERTIPS

COLUMNS: Final = 6
HALF_MM: Final = 125.0  # of the scene that a tile shows, about the hand
KEPT, DROPPED = "#2e9d57", "#c8482e"
FINGERS: Final = ("#f08a4b", "#f5cb5c", "#6ec98c", "#58aae8", "#be8cec")
NOTHING: Final = "#14181f"


@dataclass(frozen=True)
class SheetTile:
    """A labeled frame, and why it was dropped with the figure that spoke against it; an empty reason if it was kept."""

    labeled: LabeledFrame
    reason: str
    value: float


def draw_sheet(path: Path, tiles: Sequence[SheetTile]) -> None:
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


def _draw_tile(axes: Axes, tile: SheetTile) -> None:
    labeled, frame = tile.labeled, tile.labeled.frame
    depth_mm = np.where(frame.depth > 0, frame.depth * frame.depth_unit_mm, np.nan)
    joints = labeled.xyz_camera_mm.astype(np.float64)
    has_hand = bool(np.isfinite(joints).all())
    z_mm = float(joints[:, 2].mean()) if has_hand else float(np.nanmedian(depth_mm)) if frame.depth.any() else 500.0
    shades = matplotlib.colormaps["gray_r"].with_extremes(bad=NOTHING)
    axes.imshow(depth_mm, cmap=shades, vmin=z_mm - 120, vmax=z_mm + 200)
    if has_hand:
        _draw_hand(axes, joints, labeled)
    color = DROPPED if tile.reason else KEPT
    for spine in axes.spines.values():
        spine.set(color=color, linewidth=3)
    axes.set_title(f"frame {frame.frame_number}: {_caption(tile)}", fontsize=7, color=color)


def _draw_hand(axes: Axes, joints: Float64, labeled: LabeledFrame) -> None:
    camera = labeled.frame.intrinsics
    places = project(np, joints, camera)
    for number, (parent, child) in enumerate(BONES):
        axes.plot(*places[[parent, child]].T, color=FINGERS[number // 4], linewidth=1.6)
    for tip, color in zip(FINGERTIPS, FINGERS, strict=True):
        axes.plot(*places[tip], "o", color=color, markersize=3)
    u, v = (places.min(axis=0) + places.max(axis=0)) / 2
    half_px = HALF_MM * camera.fx_px / joints[:, 2].mean()
    axes.set_xlim(u - half_px, u + half_px)
    axes.set_ylim(v + half_px, v - half_px)


def _caption(tile: SheetTile) -> str:
    if tile.reason:
        return f"{tile.reason} {tile.value:.2f}" if tile.value < 1 else f"{tile.reason} {tile.value:.0f} mm"
    doubt = tile.labeled.doubt_mm
    return "kept" if doubt is None else f"{float(np.sqrt(np.square(doubt).mean())):.1f} mm"
