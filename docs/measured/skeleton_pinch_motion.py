"""People who pinch: each finger in turn meets the thumb and parts again, at times without touching."""

import math
from collections.abc import Iterator

import numpy as np

from handmap.skeleton.gestures import MEAN_LENGTH_MM
from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.types.arrays import Bool, Float64
from handmap.types.joints import FINGERTIPS
from training.hand.hand_model import HandShape, load_hand_asset, pose_hand
from training.hand.poses import (
    COLUMNS,
    END,
    HIGH,
    KNUCKLE,
    LOW,
    MIDDLE,
    PINCH_FINGER,
    PINCH_THUMB,
    REST_THUMB,
    THUMB,
    bone_angles,
)

from .skeleton_motion import FPS, Moment, moment_at

PINCHES, NEAR_MISSES = 3, 2  # of each finger, in any order
HELD_MM, TOUCHING_MM = 0.5, 1.5  # gap between pads that pinch, and up to which they count as touching
NEAR_MISS_MM = (8.0, 20.0)  # gap at its least, in the mean hand
MOVE_S, HOLD_S = (0.25, 0.5), (0.2, 0.8)
OPEN_REACH, NEAR_REACH = (0.0, 0.4), 0.85  # of the way from rest to the pinch
CURL = (0.0, 0.7)  # of the other fingers, on their way to a pinch
END_SHARE = 0.45  # of the middle joint's bend
MEETING_STEPS, PROBE_DEGREES = 25, 0.5


def pinch_in_turn(shape: HandShape, random: np.random.Generator) -> Iterator[Moment]:
    """About half a minute of one hand that turns and sways while every finger pinches and nearly pinches."""
    phases = random.uniform(0, 2 * math.pi, 6)
    for frame, angles in enumerate(_eased(_keys(shape, random), random)):
        yield moment_at(shape, angles, phases, frame)


def length_scale(shape: HandShape) -> float:
    """How many times as long as the mean hand it is, from the wrist to the middle fingertip."""
    bones = np.diff(shape.anchors_mm[[0, 9, 10, 11, 12]], axis=0)
    return float(np.linalg.norm(bones, axis=1).sum()) / MEAN_LENGTH_MM


def tip_distances_mm(joints_mm: Float64) -> Float64:
    """Distances (T, 4) of the tip joints of index to little from the thumb's, of joints (T, 21, 3)."""
    tips = joints_mm[:, FINGERTIPS]
    distances: Float64 = np.linalg.norm(tips[:, 1:] - tips[:, :1], axis=-1)
    return distances


def is_pinching(joints_mm: Float64, scale: float) -> Bool:
    """Whether each finger's pad (T, 4) truly touches the thumb's, of a hand so much longer than the mean one."""
    return tip_distances_mm(joints_mm) <= scale * (_pads_mm() + TOUCHING_MM)


def _keys(shape: HandShape, random: np.random.Generator) -> Iterator[Float64]:
    """Rows (25,) of angles in degrees that follow one another, open ones between those that pinch or nearly do."""
    scale = length_scale(shape)
    for finger in random.permutation(4):
        curl = random.uniform(*CURL) * np.ones(4) + random.normal(0, 0.1, 4)
        yield _row(finger, random.uniform(*OPEN_REACH), curl)
        for is_pinch in random.permutation([True] * PINCHES + [False] * NEAR_MISSES):
            gap_mm = HELD_MM if is_pinch else random.uniform(*NEAR_MISS_MM)
            near = _row(finger, 1.0 if is_pinch else NEAR_REACH, curl)
            near[THUMB] += random.normal(0, 2, 5)
            yield _meeting(shape, finger, near, scale * (_pads_mm()[finger] + gap_mm))
            yield _row(finger, random.uniform(*OPEN_REACH), curl)


def _eased(rows: Iterator[Float64], random: np.random.Generator) -> Iterator[Float64]:
    """The rig's angles (19, 3) of each frame: from row to row by minimum jerk (Flash and Hogan 1985), and a while at each."""
    before = next(rows)
    for row in rows:
        moving = round(random.uniform(*MOVE_S) * FPS)
        for share in (np.arange(moving) + 1) / moving:
            eased = share**3 * (10 - 15 * share + 6 * share * share)
            yield bone_angles(before * (1 - eased) + row * eased)
        for _ in range(round(random.uniform(*HOLD_S) * FPS)):
            yield bone_angles(row)
        before = row


def _row(finger: int, reach: float, curl: Float64) -> Float64:
    """A row with one finger and the thumb so far on their way to each other, the other fingers bent by curl (4,)."""
    share = curl.copy()
    share[finger] = reach
    row = np.zeros(COLUMNS)
    row[THUMB] = REST_THUMB + (PINCH_THUMB[finger] - REST_THUMB) * reach
    row[KNUCKLE] = PINCH_FINGER[:, 0] * share
    row[MIDDLE] = PINCH_FINGER[:, 1] * share
    row[END] = END_SHARE * row[MIDDLE]
    return row


def _meeting(shape: HandShape, finger: int, row: Float64, apart_mm: float) -> Float64:
    """The row with thumb and finger moved until their tips are so far apart: the least turns that do it, step by step."""
    moved = np.array([*range(THUMB.start, THUMB.stop), KNUCKLE[finger], MIDDLE[finger]])

    def distance(angles: Float64) -> float:
        joints = pose_hand(load_hand_asset(), shape.anchors_mm, bone_angles(angles)).joints_mm
        return float(tip_distances_mm(joints[None])[0, finger])

    for _ in range(MEETING_STEPS):
        now = distance(row)
        slopes = np.array(
            [(distance(row + PROBE_DEGREES * probe) - now) / PROBE_DEGREES for probe in np.eye(COLUMNS)[moved]]
        )
        row = row.copy()
        row[moved] += 0.5 * slopes * (apart_mm - now) / (slopes @ slopes)
        row = np.clip(row, LOW, HIGH)
    return row


def _pads_mm() -> Float64:
    """Distances (4,) of the tip joints at which the pads of the mean hand touch: their radii."""
    radii = load_skeleton_model().radii_mm[list(FINGERTIPS)]
    touching: Float64 = radii[0] + radii[1:]
    return touching
