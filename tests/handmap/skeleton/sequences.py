"""Hands of known shape and pose as tracked poses, with noise; for right and left hands."""

import numpy as np

from handmap.skeleton.body_pose import BodyPose, rotation_of
from handmap.skeleton.degrees_of_freedom import MAX_ANGLES, MIN_ANGLES
from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.skeleton.hands import PosedHands, pose_hands
from handmap.types.arrays import Float64
from handmap.types.values import Handedness, HandPose, HandRoi

FPS = 30
MODEL = load_skeleton_model()


def random_shape(random: np.random.Generator) -> Float64:
    """Shape parameters (1, K) of a person."""
    return np.clip(random.normal(size=(1, MODEL.shape_count)), -2, 2)


def moving_hands(shape: Float64, frames: int, random: np.random.Generator) -> list[PosedHands]:
    """A right hand that turns, sways and eases from one natural pose to the next, twice a second."""
    spread = np.linalg.cholesky(np.linalg.inv(MODEL.pose_precision) / 2)
    keys = np.clip(MODEL.pose_mean + random.normal(size=(frames // 15 + 2, 22)) @ spread.T, MIN_ANGLES, MAX_ANGLES)
    turn, phase = random.normal(0, 0.7, (1, 3)), random.uniform(0, 6, 3)
    hands = []
    for frame in range(frames):
        key, share = divmod(frame / 15, 1)
        eased = share * share * (3 - 2 * share)
        angles = keys[int(key)] * (1 - eased) + keys[int(key) + 1] * eased
        swing = np.sin(phase + frame / FPS * np.array([1.0, 1.4, 0.8]))
        rotation = rotation_of(turn + 0.5 * swing)
        position = np.array([[40, 30, 40]]) * swing + np.array([[0.0, 60, 450]])
        hands.append(pose_hands(MODEL, shape, np.zeros(1, bool), BodyPose(rotation, position, angles[None])))
    return hands


def tracked(
    joints_mm: Float64, expected_mm: Float64, frame: int, side: Handedness = Handedness.RIGHT, track_id: int = 1
) -> HandPose:
    """Joints (21, 3) as the tracker gives them."""
    return HandPose(
        xyz_camera_mm=joints_mm.astype(np.float32),
        expected_error_mm=expected_mm.astype(np.float32),
        roi=HandRoi(joints_mm.mean(axis=0), 250.0, side == Handedness.LEFT),
        track_id=track_id,
        handedness=side,
        handedness_confidence=1.0,
        confidence=1.0,
        is_valid=True,
        is_tracked=True,
        is_extrapolated=False,
        frame_number=frame,
        capture_ns=10**9 + round(frame * 1e9 / FPS),
    )


def noisy(hands: list[PosedHands], expected_mm: float, random: np.random.Generator) -> list[Float64]:
    """Joints (21, 3) of each frame with independent errors of this mean length."""
    return [one.joints_mm[0] + random.normal(0, expected_mm / 1.6, (21, 3)) for one in hands]
