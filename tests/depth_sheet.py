"""Contact sheets of depth frames with the hands that were found in them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handmap.types.arrays import Float32
from handmap.types.intrinsics import project
from handmap.types.joints import BONES
from handmap.types.values import DepthFrame, HandPose

COLUMNS = 5
DEEPEST_MM = 1200.0  # depth beyond this is drawn as unmeasured
AROUND_PX = (170, 130)  # columns and rows drawn to each side of a place


@dataclass(frozen=True)
class Panel:
    """One frame of a sheet with its hands; drawn about the place around_mm (3,), camera frame, mm, or whole."""

    title: str
    frame: DepthFrame
    poses: tuple[HandPose, ...]
    around_mm: Float32 | None = None


def draw_sheet(path: Path, panels: list[Panel]) -> None:
    """Writes a PNG of all panels, five a row, with one color a finger."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = -(-len(panels) // COLUMNS)
    figure, axes = pyplot.subplots(rows, COLUMNS, figsize=(25, 4.3 * rows))
    for axis in axes.ravel():
        axis.axis("off")
    for axis, panel in zip(axes.ravel(), panels, strict=False):
        depth_mm = panel.frame.depth * panel.frame.depth_unit_mm
        axis.imshow(np.where((depth_mm > 0) & (depth_mm < DEEPEST_MM), depth_mm, np.nan), cmap="gray")
        axis.set_title(panel.title, fontsize=9)
        for pose in panel.poses:
            uv = project(np, pose.xyz_camera_mm, panel.frame.intrinsics)
            for parent, child in BONES:
                axis.plot(*uv[[parent, child]].T, color=f"C{(child - 1) // 4}", linewidth=2)
        if panel.around_mm is not None:
            u, v = project(np, panel.around_mm, panel.frame.intrinsics)
            axis.set_xlim(u - AROUND_PX[0], u + AROUND_PX[0])
            axis.set_ylim(v + AROUND_PX[1], v - AROUND_PX[1])
    figure.tight_layout()
    figure.savefig(path, dpi=55)
    pyplot.close(figure)
