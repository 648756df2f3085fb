"""What the smoothing filter costs and gives: jitter at rest, lag and error of joints from 10 to 2,000 mm/s, on the network's own joints.

`.venv/bin/python -m docs.measured.smoothing BUNDLE PNG`: hands of held-out shapes swing at each speed before a noisy camera, at 30 frames a
second; the shipped demo and the two-hand sequences have truth as well; the run time follows them once, and each setting smooths
the same joints. Prints JSON, draws the picture.
"""

import json
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from handmap.bundle.manifest import read_bundle
from handmap.engines.engine import Engines
from handmap.engines.factory import open_engines
from handmap.metrics.matching import TrackedFrame, match_hands
from handmap.recording.datasets import LabeledFrame
from handmap.recording.reader import open_recording
from handmap.skeleton.body import Bodies, fit_bodies
from handmap.skeleton.memory import BodyState
from handmap.system.timing import StageClock
from handmap.tracking.fitted_hands import UNFITTED
from handmap.tracking.smooth import NO_FILTERS, UNSMOOTHED, SmoothingConfig, smooth
from handmap.tracking.smooth_bodies import smooth_bodies
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import TrackerSettings, TrackingConfig, tracker_settings
from handmap.types.arrays import Float32, Float64
from handmap.types.values import HandPose
from training.datasets.two_hands import SCENES, render_sequence
from training.hand.hand_model import held_out_coefficients, load_hand_asset, shape_hand
from training.hand.poses import open_hand, sample_kind
from training.hand.rotations import turn_x, turn_y
from training.seed_domains import SeedDomain
from training.synthesis.motion import INTRINSICS
from training.synthesis.observe import observe
from training.synthesis.scene import HEIGHT_PX, WIDTH_PX, Scene, center_of, skin_of
from training.synthesis.sensor import draw_sensor

DEMO = Path(__file__).resolve().parents[2] / "models/demo_recording"
SPEEDS_MM_S = (0, 10, 50, 100, 200, 500, 1000, 2000)  # the highest of a swing; 0 is a hand at rest
HANDS, FRAMES, SETTLE = 6, 75, 15
FPS = 30
FRAME_NS = round(1e9 / FPS)
SWING_MM, SLOW_SWING_MM, FAST_MM_S = 120.0, 60.0, 200.0
NEAR_TOP = 0.7  # of the highest speed: where lag is read
MIN_CUTOFFS_HZ = (0.5, 1.0)
BETAS = (0.016, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.6)
DERIVATIVE_CUTOFFS_HZ = (2.0, 4.0, 5.0)
DRAWN_BETAS = (0.06, 0.15, 0.3, 0.6)
PAINLESS_MM = 0.3  # smoothed joints may be so much farther off than raw ones


class Story(NamedTuple):
    """One track from its first frame on: poses as the network gave them, the true joints (T, J, 3), mm, and the fitted hands."""

    poses: list[HandPose]
    truth_mm: Float64
    bodies: list[Bodies]


class Setting(NamedTuple):
    """How joints are smoothed: each by itself, or the angles of the fitted hand."""

    smoothing: SmoothingConfig
    is_fitted: bool


def swing(speed_mm_s: float, seed: int) -> Iterator[LabeledFrame]:
    """A hand that swings from side to side, in the middle at this speed; at 0 it rests."""
    asset = load_hand_asset()
    random = np.random.default_rng([SeedDomain.SMOOTHING, seed])
    shape = shape_hand(asset, held_out_coefficients(asset, random))
    _, hand = sample_kind(asset, shape.anchors_mm, open_hand, random)
    rotation = turn_x(random.uniform(-0.3, 0.5)) @ turn_y(random.uniform(-0.5, 0.5))
    joints = hand.joints_mm @ rotation.T
    depth_mm = random.uniform(400, 600)
    sensor = draw_sensor(random, 1.0, HEIGHT_PX, WIDTH_PX)
    reach_mm = SWING_MM if speed_mm_s >= FAST_MM_S else SLOW_SWING_MM
    for number in range(FRAMES):
        x_mm = reach_mm * math.sin(number / FPS * speed_mm_s / reach_mm)
        moved = joints - center_of(joints) + np.array([x_mm, 0, depth_mm])
        scene = Scene(INTRINSICS, skin_of(asset, shape, hand, rotation, moved[0]), moved, None, None)
        noise = replace(sensor, seed=int(random.integers(2**62)))
        yield observe(asset, scene, noise, number, number * FRAME_NS)


def follow_one(frames: Iterable[LabeledFrame], engines: Engines, settings: TrackerSettings) -> list[Story]:
    """The stretches in which one track follows the hand; usually one."""
    state, clock = TrackerState(), StageClock()
    parts: list[list[tuple[HandPose, Float32]]] = [[]]
    for labeled in frames:
        poses, state = track_hands(labeled.frame, state, engines, settings, clock)
        if not poses or (parts[-1] and parts[-1][-1][0].track_id != poses[0].track_id):
            parts.append([])
        parts[-1].extend((pose, labeled.xyz_camera_mm) for pose in poses[:1])
    return _stories(parts)


def follow_two_hands(engines: Engines, settings: TrackerSettings) -> list[Story]:
    """Every true hand of the two-hand sequences, as long as one track follows it."""
    parts: dict[tuple[str, int, int, int], list[tuple[HandPose, Float32]]] = {}
    for kind in SCENES:
        for number in range(kind.sequences):
            state, clock = TrackerState(), StageClock()
            for shown in render_sequence(kind, number, kind.frames):
                poses, state = track_hands(shown.frame, state, engines, settings, clock)
                pairs = match_hands(TrackedFrame(shown.truth, tuple(poses)))
                for hand in shown.truth:
                    if (pose := pairs.get(hand.hand_id)) is not None:
                        key = (kind.name, number, hand.hand_id, pose.track_id)
                        parts.setdefault(key, []).append((pose, hand.xyz_camera_mm))
    return _stories(list(parts.values()))


def measure_error(stories: list[Story], setting: Setting) -> tuple[float, float]:
    """Mean distance from the truth in mm, raw and smoothed."""
    raw, smoothed = [], []
    for story in stories:
        before, after = _smoothed(story, setting)
        raw.append(np.linalg.norm(before - story.truth_mm, axis=-1).mean(axis=1))
        smoothed.append(np.linalg.norm(after - story.truth_mm, axis=-1).mean(axis=1))
    return float(np.concatenate(raw).mean()), float(np.concatenate(smoothed).mean())


def measure_jitter(stories: list[Story], setting: Setting) -> tuple[float, float]:
    """Mean over joints of the rms distance from their mean in mm once settled, raw and smoothed, of hands at rest."""
    both = [tuple(_jitter_mm(joints) for joints in _smoothed(story, setting)) for story in stories]
    return float(np.mean([raw for raw, _ in both])), float(np.mean([after for _, after in both]))


def measure_lag(stories: list[Story], setting: Setting) -> tuple[float, float]:
    """How far the smoothed hand is behind the raw one near its highest speed: in mm, and in ms."""
    behind_mm, lags_ms = [], []
    for story in stories:
        before, after = _smoothed(story, setting)
        velocity = np.gradient(story.truth_mm.mean(axis=1), 1 / FPS, axis=0)
        speed = np.linalg.norm(velocity, axis=1)
        for at in np.flatnonzero(speed >= NEAR_TOP * speed.max()):
            if at >= SETTLE:
                behind_mm.append(float((before[at] - after[at]).mean(axis=0) @ velocity[at] / speed[at]))
                lags_ms.append(behind_mm[-1] / speed[at] * 1e3)
    return float(np.mean(behind_mm)), float(np.mean(lags_ms))


def row_of(told: dict[str, list[Story]], setting: Setting) -> dict[str, float]:
    """Every figure of a setting; those of a speed are named by it."""
    raw_mm, rest_mm = measure_jitter(told["0"], setting)
    settings = setting.smoothing
    row = {
        "is_fitted": float(setting.is_fitted),
        "min_cutoff_hz": settings.min_cutoff_hz, "beta": settings.beta, "derivative_cutoff_hz": settings.derivative_cutoff_hz,
        "jitter_raw_mm": raw_mm, "jitter_mm": rest_mm,
    }  # fmt: skip
    for name, stories in told.items():
        before, after = measure_error(stories, setting)
        row |= {f"error_raw_mm.{name}": before, f"error_mm.{name}": after}
        if name.isdigit() and name != "0":
            row[f"lag_mm.{name}"], row[f"lag_ms.{name}"] = measure_lag(stories, setting)
    return {name: round(value, 3) for name, value in row.items()}


def draw(path: Path, rows: list[dict[str, float]], chosen: SmoothingConfig) -> None:
    """Lag at each speed, and what smoothing adds to the error, a line for each beta; jitter in the legend."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    lag, error = figure.subplots(1, 2)
    speeds = [speed for speed in SPEEDS_MM_S if speed]
    for row in rows:
        if (row["min_cutoff_hz"], row["derivative_cutoff_hz"]) != (chosen.min_cutoff_hz, chosen.derivative_cutoff_hz):
            continue
        is_fitted = bool(row["is_fitted"])
        if row["beta"] not in DRAWN_BETAS:
            continue
        is_chosen = row["beta"] == chosen.beta and is_fitted
        style = {
            "linewidth": 2.6 if is_chosen else 1.1, "marker": "o", "markersize": 4, "linestyle": "-" if is_fitted else "--",
            "color": f"C{DRAWN_BETAS.index(row['beta'])}",
        }  # fmt: skip
        way = "fitted" if is_fitted else "points"
        label = f"{way}, beta {row['beta']:g}, jitter {row['jitter_mm']:.2f} mm{' (default)' if is_chosen else ''}"
        lag.plot(speeds, [row[f"lag_mm.{speed}"] for speed in speeds], label=label, **style)
        added = [row[f"error_mm.{speed}"] - row[f"error_raw_mm.{speed}"] for speed in speeds]
        error.plot(speeds, added, **style)
    error.axhline(PAINLESS_MM, color="gray", linewidth=0.8)
    lag.set_ylabel("behind the raw hand, mm")
    error.set_ylabel("error that smoothing adds, mm")
    for axes in (lag, error):
        axes.set_xscale("log")
        axes.set_xlabel("speed of the hand, mm/s")
    lag.legend(fontsize=7, title=f"raw jitter {rows[0]['jitter_raw_mm']:.2f} mm", title_fontsize=8)
    figure.savefig(path, dpi=90)


def main(bundle_path: Path, picture: Path) -> None:
    """Measures every setting on the same joints."""
    bundle = read_bundle(bundle_path)
    one = tracker_settings(bundle, TrackingConfig(handedness="right"), UNSMOOTHED, UNFITTED)
    two = tracker_settings(bundle, TrackingConfig(handedness="any", max_hands=2), UNSMOOTHED, UNFITTED)
    with open_engines(bundle) as engines, open_engines(bundle, batch=2) as both:
        told = {
            str(speed): [story for seed in range(HANDS) for story in follow_one(swing(speed, seed), engines, one)]
            for speed in SPEEDS_MM_S
        }
        told["demo"] = follow_one(open_recording(DEMO).labeled(), engines, one)
        told["two-hands"] = follow_two_hands(both, two)
    points = [
        Setting(SmoothingConfig(True, cutoff, beta, derivative), False)
        for derivative in DERIVATIVE_CUTOFFS_HZ
        for beta in BETAS
        for cutoff in MIN_CUTOFFS_HZ
    ]
    fitted = [Setting(SmoothingConfig(True, cutoff, beta), True) for beta in BETAS for cutoff in MIN_CUTOFFS_HZ]
    rows = [row_of(told, setting) for setting in (*points, *fitted)]
    draw(picture, rows, SmoothingConfig())
    chosen = row_of(told, Setting(SmoothingConfig(), True))
    unsmoothed = row_of(told, Setting(UNSMOOTHED, True))
    print(json.dumps({"default": chosen, "fit alone": unsmoothed, "settings": rows}, indent=1))  # noqa: T201


def _stories(parts: list[list[tuple[HandPose, Float32]]]) -> list[Story]:
    long = [part for part in parts if len(part) > 2 * SETTLE]
    return [_story([pose for pose, _ in part], np.array([truth for _, truth in part], np.float64)) for part in long]


def _story(poses: list[HandPose], truth_mm: Float64) -> Story:
    state, fitted = BodyState(), []
    for pose in poses:
        bodies, state = fit_bodies([pose], state)
        assert bodies is not None
        fitted.append(bodies)
    return Story(poses, truth_mm, fitted)


def _smoothed(story: Story, setting: Setting) -> tuple[Float64, Float64]:
    """Joints (T, J, 3) as the network gave them and smoothed."""
    after = (
        _bodies_smoothed(story, setting.smoothing) if setting.is_fitted else _points_smoothed(story, setting.smoothing)
    )
    return np.array([pose.xyz_camera_mm for pose in story.poses], np.float64), np.array(after, np.float64)


def _points_smoothed(story: Story, settings: SmoothingConfig) -> list[Float32]:
    filters, after = NO_FILTERS, []
    for pose in story.poses:
        (smoothed,), filters = smooth([pose], filters, settings)
        after.append(smoothed.xyz_camera_mm)
    return after


def _bodies_smoothed(story: Story, settings: SmoothingConfig) -> list[Float64]:
    moving, after = None, []
    for pose, bodies in zip(story.poses, story.bodies, strict=True):
        smoothed, moving = smooth_bodies(bodies, pose.capture_ns, moving, settings)
        after.append(smoothed.hands.joints_mm[0])
    return after


def _jitter_mm(xyz_mm: Float64) -> float:
    settled = xyz_mm[SETTLE:]
    return float(np.sqrt(((settled - settled.mean(axis=0)) ** 2).sum(axis=-1).mean(axis=0)).mean())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
