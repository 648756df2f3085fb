"""Pinch of each finger with the thumb, and how far the hand is closed."""

from dataclasses import dataclass

import numpy as np

from handmap.skeleton.body import Bodies
from handmap.skeleton.degrees_of_freedom import FOUR_FINGERS
from handmap.skeleton.hands import PosedHands
from handmap.skeleton.kinematics import rest_length_mm
from handmap.types.arrays import Bool, Float64
from handmap.types.joints import FINGERTIPS

# Distances of the tip joints, which lie in the pads, for a hand of MEAN_LENGTH_MM; they grow with the hand.
MEAN_LENGTH_MM = 186.5
TOUCH_MM = 16.0  # of pads that touch: strength 1, and the pinch begins
RELEASE_MM = 26.0  # the pinch ends
OPEN_MM = 60.0  # strength 0
DOUBT_SHARE = 0.5  # of the distance's expected error is added to the band, so that noise does not flip it
CLOSED_RAD = np.radians([75.0, 95, 55])  # knuckle, middle and end joint of a finger in a fist


@dataclass(frozen=True)
class Pinches:
    """Of N hands and the fingers index to little: distance_mm (N, 4) of the tip from the thumb's, strength (N, 4) from 0 to 1, and is_on (N, 4)."""

    track_ids: tuple[int, ...]
    distance_mm: Float64
    strength: Float64
    is_on: Bool


def pinch(bodies: Bodies, before: Pinches | None) -> Pinches:
    """The pinches of a frame after those of the frame before; one that is on stays on until the fingers part by RELEASE_MM."""
    tips = bodies.hands.joints_mm[:, FINGERTIPS]
    apart = tips[:, 1:] - tips[:, :1]
    distance = np.sqrt((apart * apart).sum(axis=-1))
    scale = (rest_length_mm(bodies.hands.rest) / MEAN_LENGTH_MM)[:, None]
    errors = bodies.joint_errors_mm[:, FINGERTIPS]
    doubt = DOUBT_SHARE * np.sqrt(errors[:, 1:] ** 2 + errors[:, :1] ** 2)
    was_on = _was_on(bodies, before)
    is_on = distance < np.where(was_on, RELEASE_MM * scale + doubt, TOUCH_MM * scale)
    strength = np.clip((OPEN_MM * scale - distance) / ((OPEN_MM - TOUCH_MM) * scale), 0, 1)
    return Pinches(bodies.track_ids, distance, strength, is_on)


def grasp_closure(hands: PosedHands) -> Float64:
    """How far (N,) the four fingers are closed: 0 straight, 1 a fist."""
    fingers = hands.angles[:, FOUR_FINGERS].reshape(-1, 4, 4)[:, :, [0, 2, 3]]
    closure: Float64 = np.clip(fingers / CLOSED_RAD, 0, 1).mean(axis=(1, 2))
    return closure


def _was_on(bodies: Bodies, before: Pinches | None) -> Bool:
    was_on = np.zeros((len(bodies.track_ids), 4), bool)
    if before is not None:
        for row, track_id in enumerate(bodies.track_ids):
            if track_id in before.track_ids:
                was_on[row] = before.is_on[before.track_ids.index(track_id)]
    return was_on
