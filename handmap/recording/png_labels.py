"""Labels of a folder of PNGs: `joints.txt` beside them, a line for each labeled image."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from handmap.recording.datasets import labeled_joints
from handmap.recording.label_lines import LabelLine, LineLayout, line_fault, parse_line, read_lines, refuse_depths
from handmap.types.arrays import Float32, Float64
from handmap.types.joints import HAND21, JOINT_COUNT

LABELS_FILE: Final = "joints.txt"
POSITIONS: Final = 3 * JOINT_COUNT
LAYOUT: Final = LineLayout(
    (POSITIONS, POSITIONS + JOINT_COUNT),
    f"the name of an image and {POSITIONS} numbers, x y z in mm of {JOINT_COUNT} joints (nan nan nan for one without a label), "
    f"and if it is known {JOINT_COUNT} more, how far off each may be in mm",
    "correct the line, or take it out",
    may_be_nan=True,
)


@dataclass(frozen=True)
class PngLabel:
    """The joints (21, 3) of one image in the camera frame, mm, NaN where there is no label, and their doubt (21,) in mm, if known."""

    xyz_camera_mm: Float32
    doubt_mm: Float32 | None


def read_png_labels(path: Path, images: Collection[str]) -> dict[str, PngLabel]:
    """The labels in a file by the name of their image.

    Raises DatasetError, naming the line, if one is not as LAYOUT says, or is of no image or of the same one as another.
    """
    labels: dict[str, PngLabel] = {}
    lines: dict[str, int] = {}
    for line in read_lines(path, LAYOUT, "write a line for each labeled image, or take the file away"):
        name, numbers = parse_line(path, line, LAYOUT)
        if name in lines:
            raise line_fault(path, line, LAYOUT, f"found {name!r} again", f"the one label of line {lines[name]}")
        if name not in images:
            raise line_fault(path, line, LAYOUT, f"found {name!r}", f"one of the {len(images)} depth images beside it")
        labels[name], lines[name] = _label(path, line, numbers), line.number
    return labels


def _label(path: Path, line: LabelLine, numbers: Float64) -> PngLabel:
    joints, doubt = numbers[:POSITIONS].reshape(-1, 3), numbers[POSITIONS:]
    is_there = labeled_joints(joints)
    if not is_there.any():
        raise line_fault(path, line, LAYOUT, "found no joint with a label", "at least one")
    if np.isfinite(joints[~is_there]).any():
        raise line_fault(
            path, line, LAYOUT, "found a joint of which only a part is nan", "nan nan nan for one without a label"
        )
    refuse_depths(path, line, LAYOUT, joints[is_there, 2], [HAND21[index] for index in np.flatnonzero(is_there)])
    if len(doubt) and (wrong := np.flatnonzero(is_there & ~(doubt >= 0))).size:
        found = f"found {doubt[wrong[0]]:g} as the doubt of {HAND21[wrong[0]]}"
        raise line_fault(path, line, LAYOUT, found, "0 or more mm for each labeled joint")
    stated = np.where(is_there, doubt, 0).astype(np.float32) if len(doubt) else None
    return PngLabel(joints.astype(np.float32), stated)
