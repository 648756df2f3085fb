"""The NYU Hand Pose data set: `nyu:/path[,split=train|test][,view=1..3][,centers=FILE]`, in its published layout.

Tompson et al., Real-Time Continuous Pose Recovery of Human Hands Using Convolutional Networks, 2014. Three Kinects saw each frame;
results are published for the first view of the test split.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from scipy.io import loadmat

from handmap.files.images import read_nyu_png
from handmap.files.reading import read_bytes
from handmap.recording.datasets import Dataset, split_options
from handmap.recording.label_values import MAX_VALUE, MIN_DEPTH_MM, depth_fault
from handmap.types.arrays import Bool, Float64, Uint16
from handmap.types.errors import DatasetError
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import Handedness

from .centers import place_cubes
from .public_set import UNPACK, PublicSet, SetFacts, SetFrame, joint_notes, open_folder

LABELS: Final = "joint_data.mat"
MAX_LABEL_BYTES: Final = 2 << 30
JOINT_COUNT: Final = 36
CUBE_MM, SMALLER_CUBE_MM = 300.0, 250.0
FIRST_OF_SECOND_PERSON: Final = 2440  # of the test split, from 0: a smaller hand, so everyone scales the cube by 5/6
SIDES: Final = "300 mm (250 mm from test frame 2441 on)"
OPTIONS: Final = {"split": "train or test", "view": "1, 2 or 3", "centers": "FILE of published centers"}

# KNU3, KNU2 and KNU1 are the distal, middle and proximal phalanx of the model that its authors fitted (their KinectHands code), A is
# a sphere toward a bone's end and B one at its start; F1 is the little finger. So the tip is KNU3_A, and KNU3_B, KNU2_B and KNU1_B
# are DIP, PIP and MCP. Tips and PIPs are among the fourteen joints of published results, KNU2_B there being "mid".
# Left out: the thumb's TH_KNU2_B and below (KNU2_B lies 49 mm from the IP joint, our MCP 36 mm), and the palm's six, which lie on
# its surface; PALM_1 and PALM_2 are 35 mm apart on both sides of the wrist.
FINGERS: Final = ("little", "ring", "middle", "index")
SPHERES: Final = ("KNU3_A", "KNU3_B", "KNU2_A", "KNU2_B", "KNU1_A", "KNU1_B")
JOINTS: Final = (
    *(f"F{finger}_{sphere}" for finger in (1, 2, 3, 4) for sphere in SPHERES),
    *(f"TH_{sphere}" for sphere in SPHERES),
    *(f"PALM_{number}" for number in range(1, 7)),
)
HAND21_OF_SPHERE: Final = {"KNU3_A": "tip", "KNU3_B": "dip", "KNU2_B": "pip", "KNU1_B": "mcp"}

FACTS: Final = SetFacts(
    title="NYU",
    intrinsics=Intrinsics(640, 480, 588.036865, 587.075073, 320.0, 240.0),  # of its convert_uvd_to_xyz.m, for all views
    handedness=Handedness.RIGHT,
    joints=JOINTS,
    hand21={
        **{
            f"{finger}_{joint}": {6 * number + SPHERES.index(sphere): 1.0}
            for number, finger in enumerate(FINGERS)
            for sphere, joint in HAND21_OF_SPHERE.items()
        },
        "thumb_tip": {JOINTS.index("TH_KNU3_A"): 1.0},
        "thumb_ip": {JOINTS.index("TH_KNU3_B"): 1.0},
    },
    doubt_mm={},
    is_y_up=True,
    layout=f"train/ and test/, each with depth_1_0000001.png and so on and {LABELS}",
)


@dataclass(frozen=True)
class NyuFrames:
    """All frames of one view of a split; joints_mm (N, 36, 3), y down."""

    folder: Path
    is_test: bool
    view: int
    joints_mm: Float64

    def __len__(self) -> int:
        return len(self.joints_mm)

    def __getitem__(self, index: int) -> SetFrame:
        cube_mm = SMALLER_CUBE_MM if self.is_test and index >= FIRST_OF_SECOND_PERSON else CUBE_MM
        image = self.folder / f"depth_{self.view}_{index + 1:07d}.png"
        return SetFrame(
            image, self.joints_mm[index], cube_mm, f"frame {index + 1} of {str(self.folder / LABELS)!r}"
        )  # fmt: skip


def open_nyu(which: str) -> Dataset:
    """The data set `nyu:which`; without options the first view of the test split.

    Raises DatasetError if the folder, the labels or an option are not as published.
    """
    name = f"nyu:{which}"
    path, options = split_options(which, OPTIONS, name)
    folder = open_folder(name, path, FACTS)
    split, view = options.get("split", "test"), options.get("view", "1")
    for key, value, known in (("split", split, ("train", "test")), ("view", view, ("1", "2", "3"))):
        if value not in known:
            raise DatasetError(f"data set {name!r}: {key}={value}, wanted {', '.join(known[:-1])} or {known[-1]}")
    joints_mm = read_labels(folder / split / LABELS, int(view))
    frames = NyuFrames(folder / split, split == "test", int(view), joints_mm)
    data = PublicSet(name, FACTS, frames, _read_image, range(len(frames)), joint_notes(FACTS))
    return place_cubes(data, SIDES, options.get("centers"))


def read_labels(path: Path, view: int) -> Float64:
    """The joints (N, 36, 3) of a view in mm, y down.

    Raises DatasetError if the file is not the set's.
    """
    advice = f"name a folder with {FACTS.layout}"
    try:
        content = read_bytes(path, MAX_LABEL_BYTES)
    except OSError as error:
        raise DatasetError(f"labels {str(path)!r} cannot be read ({error.strerror}); {advice}") from error
    try:
        found = loadmat(io.BytesIO(content), variable_names=["joint_xyz"])
    except Exception as error:  # its parser can raise anything on damaged bytes
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DatasetError(
            f"labels {str(path)!r} cannot be read as a MATLAB file ({reason}); unpack the set again"
        ) from error
    joints = found.get("joint_xyz")
    shape = getattr(joints, "shape", None)
    wanted = f"wanted floating-point numbers of shape (3, frames, {JOINT_COUNT}, 3); use the set's own {LABELS}"
    if shape is None or len(shape) != 4 or shape[1] == 0 or (shape[0], *shape[2:]) != (3, JOINT_COUNT, 3):
        what = "no joint_xyz" if shape is None else f"joint_xyz of shape {shape}"
        raise DatasetError(f"labels {str(path)!r}: found {what}, {wanted}")
    if joints.dtype.kind != "f":
        raise DatasetError(f"labels {str(path)!r}: found joint_xyz of type {joints.dtype.name}, {wanted}")
    one: Float64 = joints[view - 1].astype(np.float64) * (1.0, -1.0, 1.0)
    _refuse_impossible(path, one)
    return one


def _read_image(path: Path) -> Uint16:
    return read_nyu_png(path, f"{UNPACK}, and use its depth_ images as they are")


def _refuse_impossible(path: Path, joints_mm: Float64) -> None:
    """Raises DatasetError at the first frame of (N, 36, 3) with a joint that can be nowhere, or without any."""
    is_there: Bool = np.asarray(~np.isnan(joints_mm).all(axis=-1))
    is_off: Bool = is_there & ~(np.abs(joints_mm) <= MAX_VALUE).all(axis=-1)  # a joint that is NaN in part is one, too
    is_wrong = is_off.any(axis=1) | ~is_there.any(axis=1) | (joints_mm[..., 2] < MIN_DEPTH_MM).any(axis=1)
    if not is_wrong.any():
        return
    frame = int(np.argmax(is_wrong))
    there, off = np.flatnonzero(is_there[frame]), np.flatnonzero(is_off[frame])
    found, fix = "found no joint with a label", UNPACK
    if len(off):
        found = f"found {JOINTS[off[0]]} at {_written(joints_mm[frame, off[0]])}"
    elif (fault := depth_fault(joints_mm[frame, there, 2], [JOINTS[joint] for joint in there])) is not None:
        found, fix = fault.found, "multiply joint_xyz by 1000" if fault.are_meters else UNPACK
    raise DatasetError(
        f"labels {str(path)!r}, frame {frame + 1}: {found}, wanted joint_xyz in mm, z away from the camera; {fix}"
    )


def _written(joint_mm: Float64) -> str:
    """A joint (3,) as the file has it, y up."""
    return f"({', '.join(f'{value:g}' for value in joint_mm * (1.0, -1.0, 1.0))})"
