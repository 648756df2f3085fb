"""A hand that goes from place to place before the camera while it changes its gesture and sways; the left hand is a mirrored right one."""

import math
from dataclasses import dataclass

import numpy as np

from handmap.types.arrays import Float32, Float64

from ..hand.collision import self_collides
from ..hand.hand_model import ELBOW, FOREARM, HandAsset, HandShape, held_out_coefficients, pose_hand, shape_hand
from ..hand.poses import Kind, counting, curled, fist, open_hand, pinching, pointing, sample_kind
from ..hand.rotations import turn_x, turn_y, turn_z
from ..synthesis.scene import MIN_JOINT_MM, skin_of

GESTURES: tuple[Kind, ...] = (open_hand, pointing, pinching, curled, counting, fist)
WRIST_LIMIT = np.radians([35.0, 20.0, 20.0])
PATH_STEPS = 8
DRAWS = 20
SWAY = np.array([0.10, 0.20, 0.10])  # rad about x, y, z
SWAY_TURNS = np.array([1.0, 2.0, 1.0])
CHECKED_TURNS = np.linspace(0, 1, 9)


@dataclass(frozen=True)
class MovingHand:
    """Where a hand goes: places (P, 3) mm of its palm, camera frame, evenly spaced in time, and keys (K, 19, 3) rad likewise.

    Everything is of a right hand; a left one is mirrored in x when it is placed, so its places are stored mirrored.
    """

    hand_id: int
    is_right: bool
    shape: HandShape
    keys: Float64
    places_mm: Float64
    rotation: Float64
    phases: Float64


@dataclass(frozen=True)
class SeenHand:
    """Skin (V, 3) and joints (21, 3) in the camera frame, mm, at one moment."""

    hand_id: int
    is_right: bool
    skin_mm: Float32
    joints_mm: Float64


def draw_moving_hand(
    asset: HandAsset, hand_id: int, is_right: bool, places_mm: Float64, pitch_deg: tuple[float, float],
    random: np.random.Generator,
) -> MovingHand:  # fmt: skip
    """A held-out hand on its way along places (P, 3).

    pitch_deg is the range of how far it leans: above 0 its fingers point to the camera, below 0 its arm comes from there.
    """
    shape = shape_hand(asset, held_out_coefficients(asset, random))
    keys = _draw_keys(asset, shape, random)
    side = np.array([1.0 if is_right else -1.0, 1, 1])
    for _ in range(DRAWS):
        roll, yaw = random.normal(0, math.radians(12)), _draw_yaw(random)
        rotation = turn_z(roll) @ turn_x(math.radians(random.uniform(*pitch_deg))) @ turn_y(yaw)
        hand = MovingHand(hand_id, is_right, shape, keys, places_mm * side, rotation, random.uniform(0, 2 * math.pi, 3))
        if all(_misses_camera(asset, hand, float(turn)) for turn in CHECKED_TURNS):
            break
    return hand


def place_at(asset: HandAsset, hand: MovingHand, turn: float) -> SeenHand:
    """The hand at a share [0, 1] of its way."""
    posed = pose_hand(asset, hand.shape.anchors_mm, ease(hand.keys, turn))
    rotation = _swayed(hand, turn)
    wrist_mm = _wrist(hand, posed.joints_mm, rotation, turn)
    side = np.array([1.0 if hand.is_right else -1.0, 1, 1])
    skin_mm = skin_of(asset, hand.shape, posed, rotation, wrist_mm)
    joints_mm = posed.joints_mm @ rotation.T + wrist_mm
    return SeenHand(hand.hand_id, hand.is_right, (skin_mm * side).astype(np.float32), joints_mm * side)


def ease(values: Float64, turn: float) -> Float64:
    """Between values (K, ...), evenly spaced over turn [0, 1]: at rest at each, minimum jerk in between (Flash and Hogan 1985)."""
    along = min(max(turn, 0.0), 1.0) * (len(values) - 1)
    first = min(int(along), max(len(values) - 2, 0))
    share = along - first
    eased = share**3 * (10 - 15 * share + 6 * share * share)
    between: Float64 = values[first] * (1 - eased) + values[min(first + 1, len(values) - 1)] * eased
    return between


def _draw_keys(asset: HandAsset, shape: HandShape, random: np.random.Generator) -> Float64:
    """Three gestures that lead into one another without self-collision."""
    keys: list[Float64] = []
    while len(keys) < 3:
        kind = GESTURES[int(random.integers(len(GESTURES)))]
        for attempt in range(DRAWS):
            wanted = kind if attempt < DRAWS // 2 else open_hand
            angles, _ = sample_kind(asset, shape.anchors_mm, wanted, random)
            angles[FOREARM] = np.clip(angles[FOREARM], -WRIST_LIMIT, WRIST_LIMIT)
            if not keys or _is_free(asset, shape, keys[-1], angles):
                break
        keys.append(angles)
    return np.stack(keys)


def _is_free(asset: HandAsset, shape: HandShape, start: Float64, end: Float64) -> bool:
    """Whether no pose on the straight way between two cuts into itself."""
    return not any(
        self_collides(pose_hand(asset, shape.anchors_mm, start * (1 - share) + end * share).joints_mm)
        for share in np.linspace(0, 1, PATH_STEPS)
    )


def _draw_yaw(random: np.random.Generator) -> float:
    """Palm or back to the camera, give or take 40 degrees."""
    return float(random.choice((0.0, math.pi)) + random.uniform(-1, 1) * math.radians(40))


def _swayed(hand: MovingHand, turn: float) -> Float64:
    x, y, z = SWAY * np.sin(hand.phases + 2 * math.pi * SWAY_TURNS * turn)
    rotation: Float64 = hand.rotation @ turn_z(z) @ turn_x(x) @ turn_y(y)
    return rotation


def _wrist(hand: MovingHand, joints_mm: Float64, rotation: Float64, turn: float) -> Float64:
    # The palm is what goes along: the hand's own center would jump about with the fingers.
    wrist: Float64 = ease(hand.places_mm, turn) - rotation @ (joints_mm[9] * 0.8)
    return wrist


def _misses_camera(asset: HandAsset, hand: MovingHand, turn: float) -> bool:
    """Whether hand and forearm keep MIN_JOINT_MM off the camera."""
    posed = pose_hand(asset, hand.shape.anchors_mm, ease(hand.keys, turn))
    rotation = _swayed(hand, turn)
    wrist = _wrist(hand, posed.joints_mm, rotation, turn)
    elbow = wrist + rotation @ (posed.rotations[FOREARM] @ hand.shape.anchors_mm[ELBOW])
    along = elbow - wrist
    share = min(max(-float(wrist @ along) / float(along @ along), 0.0), 1.0)
    nearest = float(np.linalg.norm(wrist + share * along))
    return nearest >= MIN_JOINT_MM and float((posed.joints_mm @ rotation.T + wrist)[:, 2].min()) >= MIN_JOINT_MM
