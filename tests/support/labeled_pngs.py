"""Folders of labeled PNGs; a made-up hand for them that needs no renderer: a disc of depth about each joint."""

from pathlib import Path

import numpy as np

from handmap.files.images import write_depth_png
from handmap.types.arrays import Float64, Uint16
from handmap.types.intrinsics import Intrinsics, project
from handmap.types.joints import FINGERS

LENS = Intrinsics(160, 120, 118.5, 119.5, 79.25, 60.5)
FLESH_MM, DISC_PX = 8.0, 4


def dotted_hand(number: int) -> tuple[Uint16, Float64]:
    """Depth (120, 160) in mm and joints (21, 3) of a flat hand, `number` cm to the right."""
    fan = [
        (25.0 * (finger - 2) * (0.4 + 0.2 * joint), 30.0 - 25.0 * joint, 400.0 + 3 * joint)
        for finger in range(len(FINGERS))
        for joint in range(4)
    ]
    joints = np.array([(0.0, 60.0, 400.0), *fan])
    joints[:, 0] += 10.0 * number
    row, column = np.mgrid[: LENS.height_px, : LENS.width_px]
    depth = np.zeros((LENS.height_px, LENS.width_px), np.uint16)
    for (u, v), z_mm in zip(project(np, joints, LENS), joints[:, 2], strict=True):
        depth[(column - u) ** 2 + (row - v) ** 2 < DISC_PX**2] = round(z_mm - FLESH_MM)
    return depth, joints


def write_labeled_pngs(folder: Path, hands: list[tuple[Uint16, Float64]], lens: Intrinsics) -> Path:
    """A folder of 16-bit PNGs with intrinsics and labels; the second hand has no label, the last no wrist."""
    folder.mkdir(parents=True)
    (folder / "intrinsics.yaml").write_text(
        f"fx_px: {lens.fx_px}\nfy_px: {lens.fy_px}\ncx_px: {lens.cx_px}\ncy_px: {lens.cy_px}\n"
    )
    lines = []
    for number, (depth, joints_mm) in enumerate(hands):
        write_depth_png(folder / f"{number}.png", depth)
        written = joints_mm.copy()
        if number == len(hands) - 1:
            written[0] = np.nan
        if number != 1:
            lines.append(" ".join([f"{number}.png", *(f"{value:.4f}" for value in written.ravel())]) + "\n")
    (folder / "joints.txt").write_text("".join(lines))
    return folder
