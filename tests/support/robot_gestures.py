"""Gestures of a person's hand for robots, and what a robot makes of them: fingers that turned, tips that touch."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from clients.robot_hands import LoadedHand, load_hand
from handmap.skeleton.body_pose import BodyPose, rotation_of
from handmap.skeleton.degrees_of_freedom import ANGLE_COUNT, ANGLE_NAMES
from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.skeleton.hands import pose_hands
from handmap.types.arrays import Float32, Float64
from handmap.types.joints import FINGERS
from handmap.types.values import Handedness

ROOT = Path(__file__).resolve().parents[2]
BESIDE = ROOT.parent / "shared/data/urdf"
GOLDEN = ROOT / "tests/data/robot_angles.json"
TURN = np.array([0.3, -0.5, 0.2])  # rotation vector of the hand before the camera: any will do
WRIST_MM = np.array([20.0, 60, 450])
PINCH_DEGREES = {
    "thumb_cmc_flexion": 30, "thumb_cmc_splay": 2, "thumb_cmc_twist": 7, "thumb_mcp_flexion": 18, "thumb_ip_flexion": 21,
    "index_mcp_flexion": 54, "index_pip_flexion": 50, "index_dip_flexion": 28,
}  # fmt: skip
STEPS, HELD_STEPS = 12, 8  # frames from the open hand to a gesture, and of staying there


@dataclass(frozen=True)
class RobotCase:
    """A robot hand on one side; file is the name of its URDF, None for the one of ours."""

    name: str
    side: Handedness
    file: str | None

    @property
    def key(self) -> str:
        """Its name among the golden angles."""
        return f"{self.name}_{self.side.name.lower()}"

    def load(self) -> LoadedHand:
        """The hand; the test is skipped where its URDF does not lie beside the checkout."""
        if self.file is None:
            return load_hand(self.name, None, self.side)
        path = BESIDE / self.file
        if not path.exists():
            pytest.skip(f"needs the URDF of a maker beside the checkout, {path}")
        return load_hand(self.name, path, None)


CASES = [
    RobotCase("plain", Handedness.RIGHT, None),
    RobotCase("plain", Handedness.LEFT, None),
    RobotCase("inspire", Handedness.RIGHT, "inspire_hand_right.urdf"),
    RobotCase("inspire", Handedness.LEFT, "inspire_hand_left.urdf"),
    RobotCase("allegro", Handedness.RIGHT, "allegro_hand_right.urdf"),
    RobotCase("allegro", Handedness.LEFT, "allegro_hand_left.urdf"),
    RobotCase("leap", Handedness.RIGHT, "leap_hand_right.urdf"),
]


def gestures() -> dict[str, Float64]:
    """Angles (22,), rad, of the person's hand by the name of the gesture; those named as a finger bend it alone."""
    bent = {
        finger: {f"{finger}_mcp_flexion": 80, f"{finger}_pip_flexion": 95, f"{finger}_dip_flexion": 60}
        for finger in FINGERS[1:]
    }
    bent["thumb"] = {"thumb_cmc_flexion": 35, "thumb_mcp_flexion": 45, "thumb_ip_flexion": 60}
    fist = {name: degrees for finger in bent.values() for name, degrees in finger.items()}
    named: dict[str, dict[str, int]] = {"open": {}, "fist": fist, "pinch": PINCH_DEGREES, **bent}
    return {gesture: _angles(degrees) for gesture, degrees in named.items()}


def joints_m(angles: Float64, side: Handedness) -> Float32:
    """Joints (21, 3), m, camera frame, of the mean person's hand."""
    model = load_skeleton_model()
    pose = BodyPose(rotation_of(TURN[None]), WRIST_MM[None], angles[None])
    hand = pose_hands(model, np.zeros((1, model.shape_count)), np.array([side is Handedness.LEFT]), pose)
    xyz_m: Float32 = (hand.joints_mm[0] / 1000).astype(np.float32)
    return xyz_m


def motion_to(gesture: str, side: Handedness) -> list[Float32]:
    """The joints of each frame from the open hand to the gesture, and of a moment there."""
    start, end = gestures()["open"], gestures()[gesture]
    shares = [*np.linspace(0, 1, STEPS), *[1.0] * HELD_STEPS]
    return [joints_m(start + share * (end - start), side) for share in shares]


def golden_angles(case: RobotCase) -> dict[str, dict[str, float]]:
    """What dex-retargeting made of each gesture: rad by joint."""
    angles: dict[str, dict[str, float]] = json.loads(GOLDEN.read_text())["angles"][case.key]
    return angles


def finger_turns(
    loaded: LoadedHand, opened: dict[str, float], moved: dict[str, float]
) -> dict[str, tuple[float, float]]:
    """By finger: how far, rad, its line from knuckle to tip has turned from the one pose to the other, and how far, m, its first
    joint after the knuckle went out of the palm; for the thumb, its tip to the little finger's side."""
    poses = [loaded.urdf.link_poses(angles) for angles in (opened, moved)]
    little = -1.0 if loaded.hand.side is Handedness.RIGHT else 1.0  # where on y the little finger is
    turns = {}
    for chain in loaded.hand.finger_chains:
        knuckle, joint, tip = (np.array([pose[chain[place][1]][:3, 3] for pose in poses]) for place in (0, 1, -1))
        lines = tip - knuckle
        cosine = lines[0] @ lines[1] / np.prod(np.linalg.norm(lines, axis=1))
        finger, (towards, sideways) = chain[0][0].partition("_")[0], (np.diff(joint[:, 0]), little * np.diff(tip[:, 1]))
        turns[finger] = (
            float(np.arccos(np.clip(cosine, -1, 1))),
            float(sideways[0] if finger == "thumb" else towards[0]),
        )
    return turns


def tip_distance_m(loaded: LoadedHand, angles: dict[str, float]) -> float:
    """The distance between the tips of thumb and index finger."""
    poses = loaded.urdf.link_poses(angles)
    thumb, index = (poses[chain[-1][1]][:3, 3] for chain in loaded.hand.finger_chains[:2])
    return float(np.linalg.norm(thumb - index))


def _angles(degrees: dict[str, int]) -> Float64:
    angles = np.zeros(ANGLE_COUNT)
    for name, value in degrees.items():
        angles[ANGLE_NAMES.index(name)] = np.radians(value)
    return angles
