"""Writes docs/skeleton_golden.json, against which a receiver can test its conventions: poses with every angle, joint and quaternion.

Run `python -m docs.skeleton_golden`. The hands are of the mean person; positions are rounded to 1 um, quaternions and angles to 1e-6.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from handmap.skeleton.body_pose import BodyPose, rotation_of
from handmap.skeleton.degrees_of_freedom import ANGLE_COUNT, ANGLE_NAMES, MAX_ANGLES, MIN_ANGLES
from handmap.skeleton.gestures import grasp_closure
from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.skeleton.hands import PosedHands, pose_hands
from handmap.skeleton.orientation import IS_DERIVED, XR26, orient_joints
from handmap.types.arrays import Float64
from handmap.types.joints import HAND21

TABLE = Path(__file__).with_name("skeleton_golden.json")
# Rotation vectors (rad) of the hand frame. Half a turn about x shows the back of the hand, a quarter about y its edge.
TURNS = {
    "upright": [0, 0, 0],
    "back": [0, np.pi, 0],
    "edge": [0, np.pi / 2, 0],
    "forward": [-np.pi / 2, 0, 0],
    "tilted": [0.4, -0.7, 1.1],
}
WRIST_MM = np.array([20.0, 60, 450])


def golden_angles() -> dict[str, Float64]:
    """Angles (22,) of each pose, rad."""
    index = {name: number for number, name in enumerate(ANGLE_NAMES)}
    poses = {
        "zero": np.zeros(ANGLE_COUNT),
        "low_limits": MIN_ANGLES,
        "high_limits": MAX_ANGLES,
        "natural": load_skeleton_model().pose_mean,
    }
    fist = np.zeros(ANGLE_COUNT)
    for name, number in index.items():
        for part, degrees in (("_mcp_flexion", 85), ("_pip_flexion", 95), ("_dip_flexion", 50)):
            if name.endswith(part) and not name.startswith("thumb"):
                fist[number] = np.radians(degrees)
    pointing = fist.copy()
    for name in ("index_mcp_flexion", "index_pip_flexion", "index_dip_flexion"):
        pointing[index[name]] = 0
    return {**poses, "fist": fist, "pointing": pointing}


def golden_table() -> dict[str, Any]:
    """The table: names, then a row for each pose, turn and side."""
    rows = [
        {"pose": pose, "turn": turn, "side": side, **_row(angles, np.array(vector, np.float64), side == "left")}
        for pose, angles in golden_angles().items()
        for turn, vector in TURNS.items()
        for side in ("right", "left")
    ]
    return {
        "angle_names": ANGLE_NAMES,
        "hand21": HAND21,
        "joints26": XR26,
        "is_derived": IS_DERIVED.tolist(),
        "frame": "camera: x right, y down, z away; mm; quaternions x, y, z, w with w >= 0; angles in rad",
        "rows": rows,
    }


def golden_hand(angles: Float64, vector: Float64, is_left: bool) -> PosedHands:
    """The mean person's hand; a left one is the mirror image of the right one with this rotation vector (3,)."""
    model = load_skeleton_model()
    pose = BodyPose(rotation_of(vector[None]), WRIST_MM[None], angles[None])
    return pose_hands(model, np.zeros((1, model.shape_count)), np.array([is_left]), pose)


def _row(angles: Float64, vector: Float64, is_left: bool) -> dict[str, Any]:
    hand = golden_hand(angles, vector, is_left)
    oriented = orient_joints(hand)
    return {
        "angles": _rounded(angles, 6),
        "hand21_mm": _rounded(hand.joints_mm[0], 3),
        "positions_mm": _rounded(oriented.positions_mm[0], 3),
        "quaternions": _rounded(oriented.quaternions[0], 6),
        "radii_mm": _rounded(oriented.radii_mm[0], 3),
        "grasp_closure": round(float(grasp_closure(hand)[0]), 6),
    }


def _rounded(values: Float64, digits: int) -> Any:
    return (np.round(values, digits) + 0.0).tolist()


if __name__ == "__main__":
    TABLE.write_text(json.dumps(golden_table()).replace('{"pose"', '\n{"pose"') + "\n")
