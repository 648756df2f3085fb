"""A hand that moves smoothly before one camera: gestures eased into one another while the arm sways; ends as it begins."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from handmap.recording.datasets import LabeledFrame
from handmap.types.arrays import Float64
from handmap.types.intrinsics import Intrinsics

from ..hand.collision import self_collides
from ..hand.hand_model import FOREARM, HandAsset, HandShape, load_hand_asset, pose_hand, shape_hand, train_coefficients
from ..hand.poses import Kind, counting, curled, fist, open_hand, pinching, pointing, sample_kind
from ..hand.rotations import turn_x, turn_y, turn_z
from ..seed_domains import SeedDomain
from .observe import observe
from .scene import HEIGHT_PX, WIDTH_PX, Scene, skin_of
from .sensor import Sensor

INTRINSICS = Intrinsics(WIDTH_PX, HEIGHT_PX, 475.0, 475.0, 320.0, 240.0)
GESTURES: tuple[Kind, ...] = (open_hand, fist, open_hand, pinching, pointing, curled, open_hand, counting)
GESTURE_S = 0.85  # from one gesture to the next
HOLD = 0.25  # share of that time in which a gesture is held
PATH_STEPS = 16
PATH_DRAWS = 40
WRIST_LIMIT = np.radians([25.0, 12.0, 15.0])  # the arm comes from below: flexion, deviation and twist stay small
# Swing of the hand about its middle position (x, y, z mm, then pitch, yaw, roll rad) and how often in ten seconds it swings.
MIDDLE = np.array([0.0, 22.0, 430.0, 0.0, 0.0, 0.0])
SWING = np.array([45.0, 22.0, 55.0, 0.3, 0.9, 0.3])
SWINGS_PER_10_S = np.array([2.0, 3.0, 2.0, 3.0, 2.0, 3.0])
# A good camera held still: what a recording of it must store is mostly the hand.
CAMERA = Sensor(1.0, 0.03, 0.04, 1 / 16, 0.1, 0.12, 0.04, 110.0, np.zeros((0, 3)), 0)


@dataclass(frozen=True)
class Motion:
    """Key poses (K, 19, 3) in rad that follow one another in a circle, and the phases (6,) of the sway."""

    shape: HandShape
    keys: Float64
    phases: Float64


def synthesize_frames(seed: int, frames: int, fps: float) -> Iterator[LabeledFrame]:
    """A right hand for frames / fps seconds, its forearm entering from below; the last frame leads on to the first.

    Depth is 640x480 in millimeters; capture times start at 0 and are 1 / fps apart. The same seed gives the same bytes.
    """
    asset = load_hand_asset()
    random = np.random.default_rng([SeedDomain.MOTION, seed])
    motion = _draw_motion(asset, frames / fps, random)
    for number in range(frames):
        scene = _scene(asset, motion, number / frames, frames / fps)
        sensor = replace(CAMERA, seed=int(random.integers(0, 2**62)))
        yield observe(asset, scene, sensor, number, round(number * 1e9 / fps))


def angles_at(motion: Motion, turn: float) -> Float64:
    """Joint angles (19, 3) in rad at a share [0, 1) of the whole motion; velocity is continuous and zero at each key."""
    place = turn * len(motion.keys)
    first = int(place) % len(motion.keys)
    share = min(max((place - int(place) - HOLD / 2) / (1 - HOLD), 0.0), 1.0)
    # Minimum jerk, as people move: 10 s^3 - 15 s^4 + 6 s^5 (Flash and Hogan 1985).
    eased = share**3 * (10 - 15 * share + 6 * share * share)
    between: Float64 = motion.keys[first] * (1 - eased) + motion.keys[(first + 1) % len(motion.keys)] * eased
    return between


def _draw_motion(asset: HandAsset, length_s: float, random: np.random.Generator) -> Motion:
    shape = shape_hand(asset, train_coefficients(asset, random) * 0.5)
    count = max(round(length_s / GESTURE_S), 2)
    keys: list[Float64] = []
    for index in range(count):
        closing = keys[0] if index == count - 1 else None
        keys.append(_draw_key(asset, shape, GESTURES[index % len(GESTURES)], keys[-1:], closing, random))
    return Motion(shape, np.stack(keys), random.uniform(0, 2 * math.pi, 6))


def _draw_key(
    asset: HandAsset,
    shape: HandShape,
    kind: Kind,
    before: list[Float64],
    after: Float64 | None,
    random: np.random.Generator,
) -> Float64:
    """A pose of a kind that can be reached from the pose before, and leads to the one after, without self-collision."""
    neighbors = [*before, *([] if after is None else [after])]
    for attempt in range(PATH_DRAWS):
        wanted = kind if attempt < PATH_DRAWS // 2 else open_hand
        angles, _ = sample_kind(asset, shape.anchors_mm, wanted, random)
        angles[FOREARM] = np.clip(angles[FOREARM], -WRIST_LIMIT, WRIST_LIMIT)
        if all(_is_free(asset, shape, neighbor, angles) for neighbor in neighbors):
            break
    return angles


def _is_free(asset: HandAsset, shape: HandShape, start: Float64, end: Float64) -> bool:
    """Whether no pose on the straight way between two is in collision with itself."""
    shares = np.linspace(0, 1, PATH_STEPS)
    return not any(
        self_collides(pose_hand(asset, shape.anchors_mm, start * (1 - share) + end * share).joints_mm)
        for share in shares
    )


def _scene(asset: HandAsset, motion: Motion, turn: float, length_s: float) -> Scene:
    """The scene at a fraction of the motion; every swing completes a whole number of periods."""
    cycles = np.maximum(np.rint(SWINGS_PER_10_S * length_s / 10), 1)
    x, y, z, pitch, yaw, roll = MIDDLE + SWING * np.sin(motion.phases + 2 * math.pi * cycles * turn)
    hand = pose_hand(asset, motion.shape.anchors_mm, angles_at(motion, turn))
    rotation = turn_z(roll) @ turn_x(pitch) @ turn_y(yaw)
    # The palm is what sways: the hand's own center would jump about with the fingers.
    palm = rotation @ (hand.joints_mm[9] * 0.8)
    joints = hand.joints_mm @ rotation.T - palm + np.array([x, y, z])
    skin_mm = skin_of(asset, motion.shape, hand, rotation, joints[0])
    return Scene(INTRINSICS, skin_mm, joints, None, None)
