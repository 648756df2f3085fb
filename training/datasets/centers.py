"""Published hand centers: a file with `x y z` in mm for each frame of a split, or `invalid`, as V2V-PoseNet released them.

They are in the set's own axes: y up for NYU and MSRA, down for ICVL and HANDS17. A file that is of another split, or in pixels,
or has y the other way, is found out by the labels.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from handmap.recording.datasets import label_center
from handmap.recording.label_lines import LabelLine, LineLayout, parse_line, read_lines, refuse_depths
from handmap.types.arrays import Float64
from handmap.types.errors import DatasetError

from .public_set import PublicSet, SetFacts, SetFrames

LAYOUT: Final = LineLayout(
    (3,),
    "three numbers, x y z in mm, or the word invalid",
    "correct the line, or write invalid in it",
    is_named=False,
    content="centers",
)
CHECKED_FRAMES: Final = 64
FAR_MM: Final = 60.0  # V2V-PoseNet's first NYU test center is 3 mm off; the palm joint as center is 35 mm off


def place_cubes(data: PublicSet, sides: str, file: str | None) -> PublicSet:
    """The set with its cubes centered as a file says, or without one on the labels; sides says how large they are.

    Frames without a center are left out.
    """
    if file is None:
        return replace(data, notes=(*data.notes, f"cubes of {sides}, centered on the labels"))
    centers_mm = read_centers(Path(file), data.frames, data.facts)
    kept = [index for index in data.kept if np.isfinite(centers_mm[index, 0])]
    said = f"cubes of {sides}, centered as in {file!r}; {len(data.kept) - len(kept)} frames without a center left out"
    return replace(data, kept=kept, centers_mm=centers_mm, notes=(*data.notes, said))


def read_centers(path: Path, frames: SetFrames, facts: SetFacts) -> Float64:
    """The centers (N, 3) in the camera frame in mm, y down, of all frames of a split; NaN for those that are invalid.

    Raises DatasetError unless there is one for each frame, near its labels.
    """
    lines = read_lines(path, LAYOUT, f"name the center file of this split of {facts.title}")
    if len(lines) != len(frames):
        raise DatasetError(
            f"centers {str(path)!r}: found {len(lines)} lines for {len(frames)} frames, wanted one for each; name the file of "
            "this split, and keep the set's labels as published"
        )
    centers = np.stack([_center(path, line) for line in lines])
    if facts.is_y_up:
        centers[:, 1] *= -1
    _refuse_far(path, centers, frames, facts)
    return centers


def _center(path: Path, line: LabelLine) -> Float64:
    if line.text.split()[0].lower() == b"invalid":
        return np.full(3, np.nan)
    _, center = parse_line(path, line, LAYOUT)
    refuse_depths(path, line, LAYOUT, center[2:], ("the center",))
    return center


def _refuse_far(path: Path, centers: Float64, frames: SetFrames, facts: SetFacts) -> None:
    """Compares a few of the centers with those of the labels."""
    valid = np.flatnonzero(np.isfinite(centers[:, 0]))
    if len(valid) == 0:
        raise DatasetError(f"centers {str(path)!r}: found {len(centers)} lines, all invalid; name another file")
    chosen = valid[np.linspace(0, len(valid) - 1, min(CHECKED_FRAMES, len(valid))).astype(int)]
    labeled = np.stack([label_center(frames[int(index)].joints_mm) for index in chosen])
    off_mm = float(np.median(np.linalg.norm(centers[chosen] - labeled, axis=1)))
    flipped_mm = float(np.median(np.linalg.norm(centers[chosen] * (1, -1, 1) - labeled, axis=1)))
    axis = "up" if facts.is_y_up else "down"
    if flipped_mm < off_mm / 2:
        raise DatasetError(
            f"centers {str(path)!r}: they are {off_mm:.0f} mm off the labels, {flipped_mm:.0f} mm with y negated; wanted y "
            f"{axis}, as {facts.title} has it: negate y in the file"
        )
    if off_mm > FAR_MM:
        raise DatasetError(
            f"centers {str(path)!r}: they are {off_mm:.0f} mm off the labels in the median, wanted at most {FAR_MM:.0f}; "
            f"wanted x y z in mm, x right, y {axis}, z away, of this split's frames in the order of its labels"
        )
