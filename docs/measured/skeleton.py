"""What the fitted hand gives and costs: errors of joints, bones, hand length, orientation and angles over 20 unseen people, and time.

`python -m docs.measured.skeleton noise|network|users|val|cost|pinch|pinch-network` with `OMP_NUM_THREADS=1`; on a quiet machine half a
minute, two minutes, two, a second, a minute, and one and a half; `users` four. `noise` adds errors like the network's to the truth, `network`
renders the hands and follows them with the shipped bundle, `val` takes single frames of synthetic:val, `cost` times two hands; for
pinches see skeleton_pinch.py. JSON.
"""

import json
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from handmap.bundle.manifest import read_bundle
from handmap.engines.factory import open_engines
from handmap.metrics.bone_variation import bone_lengths_mm, bone_variation
from handmap.recording.datasets import open_dataset
from handmap.skeleton.body import Bodies, fit_bodies
from handmap.skeleton.degrees_of_freedom import ANGLE_NAMES
from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.skeleton.hand_size import hand_length, unknown_size
from handmap.skeleton.memory import BodyState
from handmap.skeleton.orientation import orient_joints
from handmap.system.timing import StageClock
from handmap.tracking.fitted_hands import UNFITTED
from handmap.tracking.smooth import UNSMOOTHED
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import TrackingConfig, tracker_settings
from handmap.types.arrays import Float64
from training.hand.hand_model import load_hand_asset

from .skeleton_motion import (
    BUNDLE,
    FIRST_PERSON,
    FPS,
    PEOPLE,
    HandSequence,
    draw_person,
    move_freely,
    person_random,
    tracked,
    with_network,
    with_noise,
)
from .skeleton_pinch import measure_pinch, measure_pinch_network

FRAMES, SETTLED = 150, 95  # five seconds of each; the size is held after three
DOUBTED_MM = 11.0  # joints expected to be farther off count as hidden
CHAIN = [0, 9, 10, 11, 12]
FLEXIONS = [place for place, name in enumerate(ANGLE_NAMES) if name.endswith("flexion")]
TIMED = 600
USER_BINS = (0.06, 0.1, 0.15)  # how much longer or shorter the next person's hand is
VAL_FRAMES = 500
MODEL = load_skeleton_model()


def follow(sequence: HandSequence) -> list[Bodies]:
    """The fitted hand of each frame."""
    state, seen = BodyState(), []
    for frame, (joints, expected) in enumerate(zip(sequence.measured_mm, sequence.expected_mm, strict=True)):
        bodies, state = fit_bodies([tracked(joints, expected, frame)], state)
        assert bodies is not None
        seen.append(bodies)
    return seen


def score(sequence: HandSequence, bodies: list[Bodies]) -> dict[str, float]:
    """One person's figures: mm, degrees and percent."""
    fitted = np.stack([one.hands.joints_mm[0] for one in bodies])
    raw_mm = np.linalg.norm(sequence.measured_mm - sequence.truth_mm, axis=-1)
    fit_mm = np.linalg.norm(fitted - sequence.truth_mm, axis=-1)
    is_doubted = sequence.expected_mm > DOUBTED_MM
    expected = np.stack([one.joint_errors_mm[0] for one in bodies])
    turned = np.stack([one.hands.pose.rotations[0] for one in bodies])
    trace = np.einsum("tij,tij->t", turned, sequence.rotations)
    off_degrees = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
    angles = np.abs(np.degrees(np.stack([one.hands.angles[0] for one in bodies]) - sequence.angles))
    return {
        "raw_mm": raw_mm.mean(),
        "fit_mm": fit_mm.mean(),
        "expected_mm": expected.mean(),
        "doubted_raw_mm": raw_mm[is_doubted].mean() if is_doubted.any() else np.nan,
        "doubted_fit_mm": fit_mm[is_doubted].mean() if is_doubted.any() else np.nan,
        "wrist_degrees": float(np.median(off_degrees)),
        "wrist_p95_degrees": float(np.quantile(off_degrees, 0.95)),
        "angle_degrees": float(np.median(angles)),
        **_size_score(sequence, bodies, fitted),
    }


def _size_score(sequence: HandSequence, bodies: list[Bodies], fitted: Float64) -> dict[str, float]:
    true_bones = np.median(bone_lengths_mm(sequence.truth_mm), axis=0)
    true_mm = _length_mm(sequence.truth_mm)
    length = hand_length(MODEL, bodies[-1].size)
    mean_mm = float(hand_length(MODEL, unknown_size(MODEL, 1)).length_mm[0])
    settled = bone_lengths_mm(fitted[SETTLED:])
    raw = bone_lengths_mm(sequence.measured_mm[SETTLED:])
    return {
        "length_percent": 100 * abs(float(length.length_mm[0]) / true_mm - 1),
        "length_expected_percent": 100 * float(length.deviation_mm[0]) / true_mm,
        "raw_length_percent": 100 * abs(_length_mm(sequence.measured_mm) / true_mm - 1),
        "mean_hand_length_percent": 100 * abs(mean_mm / true_mm - 1),
        "bone_percent": 100 * float(np.median(np.abs(settled.mean(axis=0) / true_bones - 1))),
        "raw_bone_percent": 100 * float(np.median(np.abs(raw.mean(axis=0) / true_bones - 1))),
        "bone_variation_percent": 100 * float(bone_variation(fitted[SETTLED:]).max()),
        "raw_bone_variation_percent": 100 * float(bone_variation(sequence.measured_mm[SETTLED:]).mean()),
        "converged_share": float(np.mean([one.size.is_held[0] for one in bodies[SETTLED:]])),
    }


def _length_mm(joints: Float64) -> float:
    return float(np.median(np.linalg.norm(np.diff(joints[:, CHAIN], axis=1), axis=-1).sum(axis=1)))


def summary(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean, median and highest of each figure over people, and the rms error of the length."""
    table = {}
    for name in rows[0]:
        values = np.array([row[name] for row in rows], np.float64)
        figures = {"mean": np.nanmean(values), "median": np.nanmedian(values), "max": np.nanmax(values)}
        table[name] = {key: round(float(value), 3) for key, value in figures.items()}
    squares = np.mean([row["length_percent"] ** 2 for row in rows])
    table["length_percent"]["rms"] = round(float(np.sqrt(squares)), 3)
    return table


def measure_noise() -> dict[str, Any]:
    """Over people, with errors like the network's."""
    rows = []
    for number in range(PEOPLE):
        random = person_random(FIRST_PERSON + number)
        shape = draw_person(load_hand_asset(), number, random)
        sequence = with_noise(list(move_freely(shape, FRAMES, random)), random)
        rows.append(score(sequence, follow(sequence)))
    return summary(rows)


def measure_network() -> dict[str, Any]:
    """Over people, what the tracker publishes of their rendered hands, beside the shipped network's own joints."""
    bundle = read_bundle(BUNDLE)
    settings = tracker_settings(bundle, TrackingConfig("right", assume_hand_present=True))
    rows, pairs = [], []
    with open_engines(bundle) as engines:
        for number in range(PEOPLE):
            random = person_random(FIRST_PERSON + number)
            shape = draw_person(load_hand_asset(), number, random)
            moments = list(move_freely(shape, FRAMES, random))
            pairs.append(with_network(shape, moments, engines, settings, random))
            rows.append(score(*pairs[-1]))
    return summary(rows) | {"change_percent": changes_by_group(pairs)}


def changes_by_group(pairs: list[tuple[HandSequence, list[Bodies]]]) -> dict[str, list[float]]:
    """How much larger in % the published error is than the network's: by joint, then by thirds of the frames, by distance and closure."""
    raw = np.concatenate([np.linalg.norm(one.measured_mm - one.truth_mm, axis=-1) for one, _ in pairs])
    fitted = np.concatenate(
        [
            np.linalg.norm(np.stack([body.hands.joints_mm[0] for body in bodies]) - one.truth_mm, axis=-1)
            for one, bodies in pairs
        ]
    )
    far_mm = np.concatenate([one.truth_mm[:, 9, 2] for one, _ in pairs])
    bent = np.concatenate([one.angles[:, FLEXIONS].mean(axis=1) for one, _ in pairs])
    figures = {"joint": 100 * (fitted.mean(axis=0) / raw.mean(axis=0) - 1)}
    for name, values in (("distance", far_mm), ("closure", bent)):
        thirds = np.digitize(values, np.quantile(values, [1 / 3, 2 / 3]))
        figures[name] = [100 * (fitted[thirds == third].mean() / raw[thirds == third].mean() - 1) for third in range(3)]
    return {name: [round(float(value), 1) for value in values] for name, values in figures.items()}


def measure_users() -> dict[str, Any]:
    """Whether one person's held size is let go of within 2 s when each of the others takes their place, by how much their lengths differ."""
    bundle = read_bundle(BUNDLE)
    settings = tracker_settings(bundle, TrackingConfig("right", assume_hand_present=True), UNSMOOTHED, UNFITTED)
    people = []
    with open_engines(bundle) as engines:
        for number in range(PEOPLE):
            random = person_random(FIRST_PERSON + number)
            shape = draw_person(load_hand_asset(), number, random)
            moments = list(move_freely(shape, FRAMES, random))
            people.append(with_network(shape, moments, engines, settings, random)[0])
    differs, noticed, mistaken = [], [], 0
    for known in people:
        state, frame = BodyState(), 0
        for frame, (joints, expected) in enumerate(zip(known.measured_mm, known.expected_mm, strict=True)):
            _, state = fit_bodies([tracked(joints, expected, frame)], state)
        for other in people:
            is_let_go = _lets_go(state, frame + 1, other)
            if other is known:
                mistaken += is_let_go
                continue
            differs.append(abs(_length_mm(other.truth_mm) / _length_mm(known.truth_mm) - 1))
            noticed.append(is_let_go)
    bins = np.digitize(differs, USER_BINS)
    share = {
        f"from {low:g}": round(float(np.array(noticed)[bins == k].mean()), 2) for k, low in enumerate((0, *USER_BINS))
    }
    return {"pairs": len(noticed), "noticed_within_2_s": share, "same_person_mistaken": mistaken}


def _lets_go(state: BodyState, first_frame: int, other: HandSequence) -> bool:
    for frame in range(round(2 * FPS)):
        bodies, state = fit_bodies(
            [tracked(other.measured_mm[frame], other.expected_mm[frame], first_frame + frame)], state
        )
        if bodies is not None and not bodies.size.is_held[0]:
            return True
    return False


def measure_val() -> dict[str, Any]:
    """On single frames of synthetic:val, without history; a frame in which no hand is found is left out."""
    bundle = read_bundle(BUNDLE)
    settings = tracker_settings(bundle, TrackingConfig("right", assume_hand_present=True), UNSMOOTHED, UNFITTED)
    raw, fit = [], []
    with open_engines(bundle) as engines:
        for labeled in islice(iter(open_dataset("synthetic:val")), VAL_FRAMES):
            poses, _ = track_hands(labeled.frame, TrackerState(), engines, settings, StageClock())
            bodies, _ = fit_bodies(poses[:1], BodyState())
            if bodies is not None:
                raw.append(np.linalg.norm(poses[0].xyz_camera_mm - labeled.xyz_camera_mm, axis=-1))
                fit.append(np.linalg.norm(bodies.hands.joints_mm[0] - labeled.xyz_camera_mm, axis=-1))
    return {
        "frames": len(raw),
        **{
            f"{name}_{what.__name__}_mm": round(float(what(errors)), 3)
            for name, errors in (("raw", raw), ("fit", fit))
            for what in (np.mean, np.median)
        },
    }


def measure_cost() -> dict[str, Any]:
    """Milliseconds for two hands, right and left, fitted and oriented: by the clock, and of the thread's own processor time."""
    random = person_random(3)
    shape = draw_person(load_hand_asset(), 3, random)
    sequence = with_noise(list(move_freely(shape, TIMED, random)), random)
    state, wall, own = BodyState(), [], []
    for frame, (joints, expected) in enumerate(zip(sequence.measured_mm, sequence.expected_mm, strict=True)):
        poses = [tracked(joints, expected, frame), tracked(joints * [-1, 1, 1], expected, frame, is_left=True)]
        started, own_started = time.perf_counter(), time.thread_time()
        bodies, state = fit_bodies(poses, state)
        fitted = time.thread_time()
        assert bodies is not None
        orient_joints(bodies.hands)
        wall.append(time.perf_counter() - started)
        own.append((fitted - own_started, time.thread_time() - fitted))
    clock, (fit, orient) = 1e3 * np.array(wall), 1e3 * np.array(own).T
    learning, held = slice(5, 85), slice(SETTLED, None)
    return {
        "clock_p50_ms": round(float(np.median(clock[held])), 3),
        "fit_p50_ms": round(float(np.median(fit[held])), 3),
        "fit_while_learning_p50_ms": round(float(np.median(fit[learning])), 3),
        "fit_p99_ms": round(float(np.quantile(fit[held], 0.99)), 3),
        "orient_p50_ms": round(float(np.median(orient[held])), 3),
        "load": [round(value, 1) for value in _load()],
    }


def _load() -> tuple[float, ...]:
    return tuple(float(word) for word in Path("/proc/loadavg").read_text().split()[:3])


if __name__ == "__main__":
    measures = {
        "noise": measure_noise,
        "network": measure_network,
        "users": measure_users,
        "val": measure_val,
        "cost": measure_cost,
        "pinch": measure_pinch,
        "pinch-network": measure_pinch_network,
    }
    sys.stdout.write(json.dumps(measures[sys.argv[1]](), indent=1) + "\n")
