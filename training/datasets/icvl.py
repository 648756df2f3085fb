"""The ICVL hand posture data set: `icvl:/path[,split=train|test][,centers=FILE]`, in its published layout.

Tang et al., Latent Regression Forest, CVPR 2014. Left hands. Its labels are pixels with depth, of the centers of the phalanges.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from handmap.recording.datasets import Dataset, split_options
from handmap.recording.label_lines import LabelLine, LineLayout, parse_line, read_lines, refuse_depths, refuse_repeated
from handmap.types.arrays import Float64
from handmap.types.errors import DatasetError
from handmap.types.intrinsics import Intrinsics, unproject
from handmap.types.joints import FINGERS
from handmap.types.values import Handedness

from .centers import place_cubes
from .public_set import IMAGE_FIX, LINE_FIX, PublicSet, SetFacts, SetFrame, joint_notes, open_folder, read_published_png
from .published import PUBLISHED_SETS

CUBE_MM: Final = 250.0
SIDES: Final = "250 mm"
LAYOUT: Final = LineLayout(
    (48,),
    "an image and 48 numbers, u v in pixels and depth in mm of 16 joints",
    LINE_FIX,
    depth="depths in mm",
    to_mm="multiply the depths by 1000",
)
SPLITS: Final = {"train": ("Training", ("labels.txt",)), "test": ("Testing", ("test_seq_1.txt", "test_seq_2.txt"))}
OPTIONS: Final = {"split": "train or test", "centers": "FILE of published centers"}
JOINTS: Final = PUBLISHED_SETS["icvl"].joint_names

# "root", "mid" and "tip" are the centers of the phalanges: of the placements of our hand's joints that were tried, these fit the test labels
# best (Procrustes, median squared residual 0.036 of the squared size; 0.047 for PIP, DIP and tip). The joints between them
# are linear in the three centers, with the weights that least squares gives on random poses and shapes of our hand model;
# `python -m docs.pictures.dataset_joints --formula` prints them with their errors. MCP could be had too, but would carry an error
# of the labels 2.3 times over.
WEIGHTS: Final = {
    "thumb": {"mcp": (0.266, 1.068, -0.334), "ip": (-0.266, 0.932, 0.334), "tip": (0.266, -0.932, 1.666)},
    **{
        finger: {"pip": (0.137, 1.283, -0.42), "dip": (-0.137, 0.717, 0.42), "tip": (0.137, -0.717, 1.58)}
        for finger in FINGERS[1:]
    },
}
FORMULA_MM: Final = {"thumb": 2.2, "finger": 1.7}  # root mean square distance from our hand model's joints

FACTS: Final = SetFacts(
    title="ICVL",
    # The set's own focal length. The evaluator that most papers use un-projects result files with 240.99 and 240.96 instead, which
    # makes all distances across the image 0.2 % larger: use those to compare with published tables, not to place a depth image.
    intrinsics=Intrinsics(320, 240, 241.42, 241.42, 160.0, 120.0),
    handedness=Handedness.LEFT,
    joints=JOINTS,
    hand21={
        f"{finger}_{joint}": {JOINTS.index(f"{finger}_root") + part: weight for part, weight in enumerate(weights)}
        for finger, joints in WEIGHTS.items()
        for joint, weights in joints.items()
    },
    doubt_mm={
        f"{finger}_{joint}": FORMULA_MM["thumb" if finger == "thumb" else "finger"]
        for finger, joints in WEIGHTS.items()
        for joint in joints
    },
    is_y_up=False,
    layout="Training/Depth/, Training/labels.txt, Testing/Depth/, Testing/test_seq_1.txt and Testing/test_seq_2.txt",
    image_fix=IMAGE_FIX,
)


@dataclass(frozen=True)
class IcvlFrames:
    """All frames of a split: each line with its file."""

    images: Path
    lines: tuple[tuple[Path, LabelLine], ...]

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, index: int) -> SetFrame:
        path, line = self.lines[index]
        name, numbers = parse_line(path, line, LAYOUT)
        uvd = numbers.reshape(-1, 3)
        refuse_depths(path, line, LAYOUT, uvd[:, 2], JOINTS)
        joints: Float64 = unproject(np, uvd[:, :2], uvd[:, 2], FACTS.intrinsics)
        return SetFrame(self.images / name, joints, CUBE_MM, f"line {line.number} of {str(path)!r}")


def open_icvl(which: str) -> Dataset:
    """The data set `icvl:which`; without options both test sequences.

    Raises DatasetError if the folder, the labels or an option are not as published.
    """
    name = f"icvl:{which}"
    path, options = split_options(which, OPTIONS, name)
    folder = open_folder(name, path, FACTS)
    split = options.get("split", "test")
    if split not in SPLITS:
        raise DatasetError(f"data set {name!r}: split={split}, wanted train or test")
    part, files = SPLITS[split]
    advice = f"name a folder with {FACTS.layout}"
    paths = [folder / part / file for file in files]
    lines = tuple((one, line) for one in paths for line in read_lines(one, LAYOUT, advice))
    refuse_repeated(lines, LAYOUT)
    frames = IcvlFrames(folder / part / "Depth", lines)
    data = PublicSet(name, FACTS, frames, read_published_png, range(len(frames)), joint_notes(FACTS))
    return place_cubes(data, SIDES, options.get("centers"))
