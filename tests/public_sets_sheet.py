"""Draws crops of data sets with their labels: `python -m tests.public_sets_sheet OUT.png [NAME ...]`.

Without names, of the tiny sets that tests write in the published layouts. Each crop is the published cube; a left hand is mirrored,
as for the network. Dots are labeled joints, bright if they are visible; bones join labeled joints.
"""

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from handmap.geometry.crop import crop_hand, normalize_points
from handmap.recording.datasets import LabeledFrame, open_dataset
from handmap.types.joints import BONES
from handmap.types.values import CROP_PX, Handedness
from tests.support.public_sets import SETS

SHOWN = 3
OWN_CUBE_MM = 250.0
FINGERS = ("#f08a4b", "#f5cb5c", "#6ec98c", "#58aae8", "#be8cec")
Titled = tuple[str, LabeledFrame]


def tiny_sets(folder: Path) -> Iterator[Titled]:
    """The first frames of each."""
    for kind, (write, _, open_set) in SETS.items():
        for labeled in islice(open_set(str(write(folder / kind))), SHOWN):
            yield kind, labeled


def named_sets(names: list[str]) -> Iterator[Titled]:
    """The first frames of each."""
    for name in names:
        for labeled in islice(open_dataset(name), SHOWN):
            yield name.partition(":")[0], labeled


def draw(path: Path, frames: list[Titled]) -> None:
    """SHOWN crops a row."""
    matplotlib.use("Agg")
    rows = -(-len(frames) // SHOWN)
    figure = Figure(figsize=(3.6 * SHOWN, 3.8 * rows), dpi=80, layout="constrained")
    for axes, (title, labeled) in zip(figure.subplots(rows, SHOWN, squeeze=False).ravel(), frames, strict=False):
        side_mm = OWN_CUBE_MM if labeled.cube is None else labeled.cube.side_mm
        crop = crop_hand(np, labeled.frame, labeled.center_mm, side_mm, labeled.handedness is Handedness.LEFT)
        pixels = (normalize_points(np, labeled.xyz_camera_mm, crop.roi)[:, :2] + 1) * (CROP_PX / 2) - 0.5
        axes.imshow(np.where(crop.depth < 1, crop.depth, np.nan), cmap="gray_r", vmin=-1.3, vmax=1.3)
        axes.set_facecolor("#14181f")
        for start, end in BONES:
            axes.plot(*pixels[[start, end]].T, color=FINGERS[(end - 1) // 4], linewidth=1.6)
        for (u, v), is_visible in zip(pixels, labeled.is_visible, strict=True):
            axes.plot(u, v, "o", color="white" if is_visible else "#c81e1e", markersize=3)
        axes.set_title(f"{title}: {labeled.is_labeled.sum()} joints, {side_mm:.0f} mm", fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlim(-0.5, CROP_PX - 0.5)
        axes.set_ylim(CROP_PX - 0.5, -0.5)
    figure.savefig(path)


def main() -> None:
    """Draws the sheet."""
    parser = argparse.ArgumentParser(prog="python -m tests.public_sets_sheet", description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT.png")
    parser.add_argument("names", nargs="*", metavar="NAME", help="data sets to draw, such as nyu:/data/nyu")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        frames = named_sets(arguments.names) if arguments.names else tiny_sets(Path(folder))
        draw(arguments.out, list(frames))


if __name__ == "__main__":
    main()
