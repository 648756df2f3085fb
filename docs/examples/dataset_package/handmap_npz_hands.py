"""A made-up data set: a folder with one .npz file per frame, and the camera's intrinsics in camera.json.

A file has depth (height, width) uint16 in mm with 0 where nothing was measured, joints_mm (21, 3) in the camera frame (x right,
y down, z away; NaN where a joint has no label) in the order of FILE_JOINTS, and is_left.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from handmap.recording.datasets import LabeledFrame, split_options
from handmap.types.errors import DatasetError
from handmap.types.intrinsics import Intrinsics
from handmap.types.joints import HAND21
from handmap.types.values import DepthFrame, Handedness

# This data set lists the fingers from the little one to the thumb, and the wrist last.
FINGERS = ("little", "ring", "middle", "index", "thumb")
FILE_JOINTS = (*(name for finger in FINGERS for name in HAND21 if name.startswith(finger)), "wrist")
ORDER = [FILE_JOINTS.index(name) for name in HAND21]
TEST_EVERY = 5  # of the files, by name, every fifth is for testing


@dataclass(frozen=True)
class NpzHands:
    """The frames of one part of a folder, in the order of their names."""

    name: str
    files: tuple[Path, ...]
    lens: Intrinsics
    joint_names: tuple[str, ...] = HAND21  # after the reordering below

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[LabeledFrame]:
        for number, path in enumerate(self.files):
            with np.load(path) as file:
                joints_mm = file["joints_mm"][ORDER].astype(np.float32)
                side = Handedness.LEFT if file["is_left"] else Handedness.RIGHT
                frame = DepthFrame(file["depth"], 1.0, self.lens, number, number * 33_333_333)
            yield LabeledFrame(frame, joints_mm, np.isfinite(joints_mm).all(axis=1), side)


def open_npz(which: str) -> NpzHands:
    """Opens `npz:which`: the path of a folder, and `,part=train` or `,part=test` if not all of it is wanted."""
    name = f"npz:{which}"
    path, options = split_options(which, {"part": "train or test"}, name)
    part = options.get("part")
    if part not in (None, "train", "test"):
        raise DatasetError(f"data set {name!r}: part is {part!r}, wanted train or test; correct it")
    files = [
        file for number, file in enumerate(sorted(Path(path).glob("*.npz")))
        if part is None or (number % TEST_EVERY == 0) == (part == "test")
    ]  # fmt: skip
    if not files:
        raise DatasetError(f"data set {name!r}: found no .npz files in {path!r}; name a folder that has some")
    lens = msgspec.json.decode((Path(path) / "camera.json").read_bytes(), type=Intrinsics)
    return NpzHands(name, tuple(files), lens)
