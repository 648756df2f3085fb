"""A contact sheet of `synthetic:hard`, one row a kind in the order of its definition: `python -m training.datasets.hard_sheet OUT.png`."""

import sys
from pathlib import Path

import numpy as np

from handmap.files.images import write_picture
from handmap.recording.datasets import KindFrame
from handmap.types.arrays import Uint8
from handmap.types.intrinsics import project
from handmap.types.values import Handedness

from .hard_set import HARD_SETS

FRAMES_EACH = 4
EVERY_PX = 2  # pixel of the image one of the sheet stands for
GAP_PX = 3
FAR_MM = 1600.0  # shown nearly black
RIGHT_COLOUR, LEFT_COLOUR = (60, 230, 60), (255, 140, 40)


def draw_hard_sheet(out: Path) -> None:
    """Writes FRAMES_EACH frames of all kinds, joints of right hands green, of left ones orange."""
    data = HARD_SETS["hard"]
    kinds = len(data.kinds)
    rows = [
        np.hstack([_tile(data.show(row + column * kinds)) for column in range(FRAMES_EACH)]) for row in range(kinds)
    ]
    write_picture(out, np.vstack(rows))


def _tile(shown: KindFrame) -> Uint8:
    """One frame at half its size (243, 323, 3): near things bright, edges dark, what was not measured black."""
    z = shown.frame.depth[::EVERY_PX, ::EVERY_PX].astype(np.float64)
    slope = np.abs(np.gradient(z, axis=0)) + np.abs(np.gradient(z, axis=1))
    bright = np.clip(1.1 - z / FAR_MM, 0.12, 1) * np.clip(1 - slope / 40, 0.35, 1)
    gray = np.where(z > 0, 255 * bright, 0).astype(np.uint8)
    tile: Uint8 = np.pad(np.repeat(gray[..., None], 3, axis=2), ((0, GAP_PX), (0, GAP_PX), (0, 0)), constant_values=80)
    for hand in shown.hands:
        color = RIGHT_COLOUR if hand.handedness is Handedness.RIGHT else LEFT_COLOUR
        for column, row in np.rint(project(np, hand.xyz_camera_mm, shown.frame.intrinsics) / EVERY_PX).astype(int):
            if 0 < row < gray.shape[0] and 0 < column < gray.shape[1]:
                tile[row - 1 : row + 2, column - 1 : column + 2] = color
    return tile


if __name__ == "__main__":
    draw_hard_sheet(Path(sys.argv[1]))
