"""A contact sheet of the kinds of `synthetic:hard`: one row a kind, its first frames, and their joints where there is a hand."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handmap.datasets import KindFrame
from handmap.intrinsics import project
from handmap.joints import FINGERS

from .hard_set import HARD_SETS

FRAMES_EACH = 4
EVERY_PX = 2  # pixel of the image one of the sheet stands for
FAR_MM = 1600.0  # shown as black


def draw_hard_sheet(out: Path) -> None:
    """Writes the sheet of all kinds, FRAMES_EACH frames each."""
    from matplotlib.figure import Figure

    data = HARD_SETS["hard"]
    kinds = len(data.kinds)
    figure = Figure(figsize=(4 * FRAMES_EACH, 3.1 * kinds), dpi=60)
    axes = figure.subplots(kinds, FRAMES_EACH, squeeze=False)
    for row, kind in enumerate(data.kinds):
        for column in range(FRAMES_EACH):
            shown = data.show(row + column * kinds)
            axis = axes[row, column]
            axis.imshow(_shaded(shown), cmap="gray", vmin=0, vmax=1)
            for hand in shown.hands:
                uv = project(np, hand.xyz_camera_mm, shown.frame.intrinsics) / EVERY_PX
                for finger in range(len(FINGERS)):
                    chain = [0, *range(1 + 4 * finger, 5 + 4 * finger)]
                    axis.plot(*uv[chain].T, lw=1)
            axis.set_title(f"{kind} {' '.join(hand.handedness.name.lower() for hand in shown.hands)}", fontsize=11)
            axis.set_xlim(0, shown.frame.intrinsics.width_px / EVERY_PX)
            axis.set_ylim(shown.frame.intrinsics.height_px / EVERY_PX, 0)
            axis.axis("off")
    figure.tight_layout(pad=0.3)
    figure.savefig(out)


def _shaded(shown: KindFrame) -> NDArray[np.float64]:
    """Near things bright (240, 320), edges dark, what was not measured black."""
    z = shown.frame.depth[::EVERY_PX, ::EVERY_PX].astype(np.float64)
    slope = np.abs(np.gradient(z, axis=0)) + np.abs(np.gradient(z, axis=1))
    bright = np.clip(1.1 - z / FAR_MM, 0.12, 1) * np.clip(1 - slope / 40, 0.35, 1)
    return np.where(z > 0, bright, 0)
