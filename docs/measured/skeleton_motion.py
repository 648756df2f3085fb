"""People whom training never saw, moving one hand freely: the truth, and what a network or a model of its errors makes of it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from handmap.engines.engine import Engines
from handmap.recording.datasets import LabeledFrame
from handmap.skeleton.body import Bodies
from handmap.system.timing import StageClock
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import TrackerSettings
from handmap.types.arrays import Float64
from handmap.types.joints import JOINT_COUNT
from handmap.types.values import Handedness, HandPose, HandRoi
from training.hand.build_skeleton import skeleton_angles
from training.hand.hand_model import (
    FOREARM,
    HandAsset,
    HandShape,
    PosedHand,
    held_out_coefficients,
    load_hand_asset,
    pose_hand,
    shape_hand,
)
from training.hand.poses import sample_any_pose
from training.hand.rotations import turn_x, turn_y, turn_z
from training.hand.shape_variation import ShapeVariation, draw_outer_variation, draw_variation, vary_shape
from training.seed_domains import SeedDomain
from training.synthesis.motion import GESTURE_S, INTRINSICS, Motion, angles_at
from training.synthesis.observe import observe
from training.synthesis.scene import HEIGHT_PX, WIDTH_PX, Scene, skin_of
from training.synthesis.sensor import draw_sensor

BUNDLE = Path(__file__).resolve().parents[2] / "models/handmap-hand21"
FPS = 30
PEOPLE = 20
FIRST_PERSON = 100  # constants were chosen on the people before
CHILD, LARGE = 0.80, 1.20  # of the first two people, in all lengths
MIDDLE = np.array([0.0, 22.0, 430.0, 0.0, 0.0, 0.0])
SWING = np.array([60.0, 30.0, 60.0, 0.5, 1.1, 0.5])  # mm, then pitch, yaw and roll, rad
PERIODS_S = np.array([4.7, 3.1, 5.3, 2.9, 4.1, 3.7])
# Mean errors of the shipped bundle on synthetic:val, docs/measured/accuracy.md, mm; seen joints are about two thirds of that.
MEAN_ERROR_MM = np.array(
    [6.5, 5.4, 6.8, 8.7, 10.8, 5.9, 6.7, 7.7, 10.7, 5.5, 7.2, 8.3, 10.9, 5.5, 7.5, 8.8, 12.0, 5.9, 7.3, 8.4, 11.3]
)
SEEN_SHARE, HIDDEN_SHARE, HIDDEN_FRAMES = 0.66, 2.2, 0.2
LASTING_S, LASTING_SHARE = 0.2, 0.8  # errors that last, and their share of the variance
ALIKE = 0.6  # correlation of a joint's error with that of the joint before it on the finger
PER_AXIS = math.sqrt(8 / math.pi)


@dataclass(frozen=True)
class HandSequence:
    """T frames of one right hand: measured and true joints (T, 21, 3), mm; expected errors (T, 21), mm; true angles (T, 22), rad;
    true rotations (T, 3, 3) of the hand frame."""

    measured_mm: Float64
    truth_mm: Float64
    expected_mm: Float64
    angles: Float64
    rotations: Float64


@dataclass(frozen=True)
class Moment:
    """A frame's true hand: the rig's angles (19, 3), the posed hand, and its place in the camera frame."""

    angles: Float64
    hand: PosedHand
    rotation: Float64
    joints_mm: Float64


def draw_person(asset: HandAsset, number: int, random: np.random.Generator) -> HandShape:
    """A held-out shape: the first is a child, the second has large hands, then the ranges of training and beyond by turns."""
    shape = shape_hand(asset, held_out_coefficients(asset, random))
    if number < 2:
        scale = (CHILD, LARGE)[number]
        wanted = (
            scale * 186.5 / float(np.linalg.norm(np.diff(shape.anchors_mm[[0, 9, 10, 11, 12]], axis=0), axis=1).sum())
        )
        return vary_shape(asset, shape, ShapeVariation(np.full(5, wanted), wanted, wanted, wanted, 1.0))
    draw = draw_variation if number % 2 else draw_outer_variation
    return vary_shape(asset, shape, draw(random))


def move_freely(shape: HandShape, frames: int, random: np.random.Generator) -> Iterator[Moment]:
    """Poses of all kinds eased into one another while the hand turns and sways."""
    asset = load_hand_asset()
    count = max(round(frames / FPS / GESTURE_S), 2)
    keys = [sample_any_pose(asset, shape.anchors_mm, random)[0] for _ in range(count)]
    motion = Motion(shape, np.stack(keys), random.uniform(0, 2 * math.pi, 6))
    for frame in range(frames):
        angles = angles_at(motion, frame / frames)
        angles[FOREARM] = 0
        yield moment_at(shape, angles, motion.phases, frame)


def moment_at(shape: HandShape, angles: Float64, phases: Float64, frame: int) -> Moment:
    """The hand with the rig's angles (19, 3) as it turns and sways, with these phases (6,), in this frame."""
    x, y, z, pitch, yaw, roll = MIDDLE + SWING * np.sin(phases + 2 * math.pi * (frame / FPS) / PERIODS_S)
    hand = pose_hand(load_hand_asset(), shape.anchors_mm, angles)
    rotation = turn_z(roll) @ turn_x(pitch) @ turn_y(yaw)
    joints = hand.joints_mm @ rotation.T
    return Moment(angles, hand, rotation, joints - 0.8 * joints[9] + np.array([x, y, z]))


def with_noise(moments: list[Moment], random: np.random.Generator) -> HandSequence:
    """What a network of the shipped one's errors would say: errors that last and that neighbors share, fingers hidden by turns."""
    frames = len(moments)
    expected = np.tile(SEEN_SHARE * MEAN_ERROR_MM, (frames, 1))
    for finger in range(5):
        chain = slice(2 + 4 * finger, 5 + 4 * finger)
        hidden = np.repeat(random.uniform(size=frames // 10 + 1) < HIDDEN_FRAMES, 10)[:frames]
        expected[hidden, chain] *= HIDDEN_SHARE / SEEN_SHARE
    kept = math.exp(-1 / FPS / LASTING_S)
    lasting = _alike(random.normal(size=(JOINT_COUNT, 3)))
    noise = np.empty((frames, JOINT_COUNT, 3))
    for frame in range(frames):
        lasting = kept * lasting + math.sqrt(1 - kept**2) * _alike(random.normal(size=(JOINT_COUNT, 3)))
        fresh = _alike(random.normal(size=(JOINT_COUNT, 3)))
        noise[frame] = math.sqrt(LASTING_SHARE) * lasting + math.sqrt(1 - LASTING_SHARE) * fresh
    truth = np.stack([moment.joints_mm for moment in moments])
    return _sequence(moments, truth + noise * expected[..., None] / PER_AXIS, expected)


def tracked(joints_mm: Float64, expected_mm: Float64, frame: int, is_left: bool = False) -> HandPose:
    """Joints (21, 3) as the tracker gives them; the left hand is track 2."""
    side = Handedness.LEFT if is_left else Handedness.RIGHT
    roi = HandRoi(joints_mm.mean(axis=0), 250.0, is_left)
    xyz, expected = joints_mm.astype(np.float32), expected_mm.astype(np.float32)
    return HandPose(xyz, expected, roi, 1 + is_left, side, 1, 1, True, True, False, frame, round(frame * 1e9 / FPS))


def with_network(
    shape: HandShape, moments: list[Moment], engines: Engines, settings: TrackerSettings, random: np.random.Generator
) -> tuple[HandSequence, list[Bodies]]:
    """What the network says of the rendered hand, and the bodies published of it, if it is fitted; frames in which it is lost are left out."""
    state, clock = TrackerState(), StageClock()
    seen, measured, expected, published = [], [], [], []
    for moment, labeled in zip(moments, render_moments(shape, moments, random), strict=True):
        poses, state = track_hands(labeled.frame, state, engines, settings, clock)
        if poses:
            seen.append(moment)
            measured.append(poses[0].raw_xyz_camera_mm)
            expected.append(poses[0].raw_expected_error_mm)
            if state.fitted.bodies is not None:
                published.append(state.fitted.bodies)
    return _sequence(seen, np.array(measured, np.float64), np.array(expected, np.float64)), published


def render_moments(shape: HandShape, moments: list[Moment], random: np.random.Generator) -> Iterator[LabeledFrame]:
    """The frames of one random sensor."""
    sensor = draw_sensor(random, 1.0, HEIGHT_PX, WIDTH_PX)
    for number, moment in enumerate(moments):
        noise = replace(sensor, seed=int(random.integers(2**62)))
        yield observe(load_hand_asset(), _scene(shape, moment), noise, number, round(number * 1e9 / FPS))


def person_random(number: int) -> np.random.Generator:
    """The random stream of one person."""
    return np.random.default_rng([SeedDomain.SKELETON, number])


def _scene(shape: HandShape, moment: Moment) -> Scene:
    skin_mm = skin_of(load_hand_asset(), shape, moment.hand, moment.rotation, moment.joints_mm[0])
    return Scene(INTRINSICS, skin_mm, moment.joints_mm, None, None)


def _sequence(moments: list[Moment], measured: Float64, expected: Float64) -> HandSequence:
    return HandSequence(
        measured,
        np.stack([moment.joints_mm for moment in moments]),
        expected,
        np.stack([skeleton_angles(moment.angles) for moment in moments]),
        np.stack([moment.rotation for moment in moments]),
    )


def _alike(white: Float64) -> Float64:
    """Noise (21, 3) of unit variance in which each joint shares in that of the joint before it."""
    noise = white.copy()
    for joint in range(1, JOINT_COUNT):
        before = joint - 1 if (joint - 1) % 4 else 0
        noise[joint] = ALIKE * noise[before] + math.sqrt(1 - ALIKE**2) * white[joint]
    return noise
