"""Draws docs/pictures/skeleton.png: the zero pose with the axes of every joint, and what flexion, splay and twist do.

`python -m docs.pictures.skeleton` (a few seconds; needs matplotlib). Axes are OpenXR's: x red, y green, z blue.
"""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from docs.skeleton_golden import golden_hand
from handmap.skeleton.degrees_of_freedom import ANGLE_NAMES
from handmap.skeleton.hands import PosedHands
from handmap.skeleton.orientation import IS_DERIVED, XR26, joint_rotations, orient_joints
from handmap.types.arrays import Float64
from handmap.types.joints import BONES

PICTURE = Path(__file__).with_name("skeleton.png")
AXIS_MM = 11.0
COLORS = ("tab:red", "tab:green", "tab:blue")
MOVED_DEGREES = {
    "index_mcp_flexion": 60,
    "middle_mcp_splay": 20,
    "little_mcp_splay": -20,
    "ring_pip_flexion": 80,
    "thumb_cmc_twist": 28,
}
VIEW = np.array([-0.35, 0.75, 0.0])  # rotation vector: the hand's palm and thumb side are seen


def main() -> None:
    """Draws the picture."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(13, 7.2), dpi=90, layout="constrained")
    zero = np.zeros(len(ANGLE_NAMES))
    moved = zero.copy()
    for name, degrees in MOVED_DEGREES.items():
        moved[ANGLE_NAMES.index(name)] = np.radians(degrees)
    flat, left, right = figure.subplots(1, 3)
    _draw(flat, golden_hand(zero, np.zeros(3), False), "zero pose, right hand,\nits palm to the camera", names=True)
    _draw(left, golden_hand(zero, VIEW, True), "zero pose, left hand, turned:\nthe same meaning of each axis")
    shown = "\n".join(f"{name} {degrees:+d}°" for name, degrees in MOVED_DEGREES.items())
    _draw(right, golden_hand(moved, VIEW, False), f"right hand, turned:\n{shown}")
    figure.savefig(PICTURE)


def _draw(axes: Any, hand: PosedHands, title: str, names: bool = False) -> None:
    """One hand as the camera sees it, without perspective: x right, y down."""
    joints, oriented, rotations = hand.joints_mm[0], orient_joints(hand), joint_rotations(hand)[0]
    for start, end in BONES:
        axes.plot(*_flat(joints[[start, end]]), color="0.7", linewidth=4, solid_capstyle="round", zorder=1)
    for place, name in enumerate(XR26):
        center = oriented.positions_mm[0, place]
        for axis, color in enumerate(COLORS):
            line = np.stack([center, center + AXIS_MM * rotations[place][:, axis]])
            axes.plot(*_flat(line), color=color, linewidth=1.3, zorder=2)
        axes.plot(*_flat(center[None]), "o", color="k", fillstyle="full" if IS_DERIVED[place] else "none", markersize=4)
        if names and IS_DERIVED[place]:
            axes.annotate(name, (center[0], center[1]), xytext=(4, 2), textcoords="offset points", fontsize=6)
    axes.set_title(title, fontsize=9)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set_xlabel("x of the camera, mm")
    axes.set_ylabel("y of the camera, mm")


def _flat(points: Float64) -> tuple[Float64, Float64]:
    return points[:, 0], points[:, 1]


if __name__ == "__main__":
    main()
