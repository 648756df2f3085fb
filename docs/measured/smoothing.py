"""Rest jitter in mm against added lag in ms at 1 m/s of the smoothing filter, on the network's own joints.

`.venv/bin/python -m docs.measured.smoothing BUNDLE PNG`: hands of held-out shapes stand still, and swing at up to 1 m/s, before a noisy
camera; the run time follows them at 30 frames a second; each setting smooths the same joints. Prints JSON, draws the picture.
"""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from handmap.arrays import Float64
from handmap.bundle import read_bundle
from handmap.engine import Engines
from handmap.engines import EngineConfig, open_engines
from handmap.follow import FollowSettings, TrackingConfig, follow, follow_settings
from handmap.smooth import NO_FILTERS, SmoothingConfig, extrapolate, smooth
from handmap.timing import StageClock
from handmap.track import NO_TRACKS
from handmap.values import HandPose
from training.hand_model import held_out_coefficients, load_hand_asset, shape_hand
from training.motion import LENS
from training.observe import observe
from training.poses import open_hand, sample_kind
from training.scene import HEIGHT_PX, WIDTH_PX, Scene, centre_of, skin_of, turn_x, turn_y
from training.sensor import draw_sensor

HANDS, REST_FRAMES, SWING_FRAMES, SETTLE = 12, 120, 75, 15
FPS = 30
FRAME_NS = round(1e9 / FPS)
SWING_MM, TOP_MM_S = 120.0, 1000.0  # a sine of this reach has this speed in its middle
SEED_DOMAIN = 43
MIN_CUTOFFS_HZ = (0.2, 0.3, 0.5, 1.0, 2.0)
BETAS = (0.005, 0.01, 0.016, 0.03, 0.06)
DERIVATIVE_CUTOFFS_HZ = (1.0, 2.0, 5.0)
PREDICT_NS = 20_000_000  # from capture to the packet


class Story(NamedTuple):
    """Poses of one followed hand, raw, and whether it rests."""

    poses: list[HandPose]
    is_resting: bool


def follow_hand(seed: int, is_resting: bool, engines: Engines, settings: FollowSettings) -> list[Story]:
    """The stretches in which one track follows the hand; usually one."""
    asset = load_hand_asset()
    random = np.random.default_rng([SEED_DOMAIN, seed])
    shape = shape_hand(asset, held_out_coefficients(asset, random))
    _, hand = sample_kind(asset, shape.anchors_mm, open_hand, random)
    rotation = turn_x(random.uniform(-0.3, 0.5)) @ turn_y(random.uniform(-0.5, 0.5))
    joints = hand.joints_mm @ rotation.T
    depth_mm = random.uniform(350, 650)
    sensor = draw_sensor(random, 1.0, HEIGHT_PX, WIDTH_PX)
    tracks, clock, stories = NO_TRACKS, StageClock(), [Story([], is_resting)]
    for number in range(REST_FRAMES if is_resting else SWING_FRAMES):
        x_mm = 0.0 if is_resting else SWING_MM * math.sin(number / FPS * TOP_MM_S / SWING_MM)
        moved = joints - centre_of(joints) + np.array([x_mm, 0, depth_mm])
        scene = Scene(LENS, skin_of(asset, shape, hand, rotation, moved[0]), moved, None, None)
        noise = replace(sensor, seed=int(random.integers(2**62)))
        frame = observe(asset, scene, noise, number, number * FRAME_NS).frame
        poses, tracks = follow(frame, tracks, engines, settings, clock)
        last = stories[-1].poses
        if not poses or (last and last[-1].track_id != poses[0].track_id):
            stories.append(Story([], is_resting))
        stories[-1].poses.extend(poses[:1])
    return [story for story in stories if len(story.poses) > 2 * SETTLE]


def measure(stories: list[Story], settings: SmoothingConfig) -> dict[str, float]:
    """Jitter of resting joints before and after (mean over joints of the rms distance from their mean), and the lag that is added."""
    raw_mm, after_mm, lags_ms, ahead_mm = [], [], [], []
    for poses, is_resting in stories:
        before, after, moved = _smoothed(poses, settings)
        if is_resting:
            raw_mm.append(_jitter_mm(before))
            after_mm.append(_jitter_mm(after))
            ahead_mm.append(_jitter_mm(moved))
        else:
            lags_ms += _lags_ms(before, after)
    return {
        "raw_mm": round(float(np.mean(raw_mm)), 2), "smoothed_mm": round(float(np.mean(after_mm)), 2),
        "change_percent": round(100 * (float(np.mean(after_mm)) / float(np.mean(raw_mm)) - 1), 1),
        "swing_lag_ms": round(float(np.mean(lags_ms)), 1),
        "steady_lag_ms": round(1e3 / (2 * math.pi * (settings.min_cutoff_hz + settings.beta * TOP_MM_S)), 1),
        "predicted_mm": round(float(np.mean(ahead_mm)), 2),
    }  # fmt: skip


def _smoothed(poses: list[HandPose], settings: SmoothingConfig) -> tuple[Float64, Float64, Float64]:
    """Joints (T, J, 3) raw, smoothed, and moved on by PREDICT_NS."""
    filters, after, moved = NO_FILTERS, [], []
    predicting = SmoothingConfig(
        True, settings.min_cutoff_hz, settings.beta, settings.derivative_cutoff_hz, extrapolate=True
    )
    for pose in poses:
        smoothed, filters = smooth([pose], filters, settings)
        after.append(smoothed[0].xyz_camera_mm)
        (ahead,) = extrapolate(smoothed, filters, pose.capture_ns + PREDICT_NS, predicting)
        moved.append(ahead.xyz_camera_mm)
    return (
        np.array([pose.xyz_camera_mm for pose in poses], np.float64),
        np.array(after, np.float64),
        np.array(moved, np.float64),
    )


def _jitter_mm(xyz_mm: Float64) -> float:
    settled = xyz_mm[SETTLE:]
    return float(np.sqrt(((settled - settled.mean(axis=0)) ** 2).sum(axis=-1).mean(axis=0)).mean())


def _lags_ms(before: Float64, after: Float64) -> list[float]:
    """How far the smoothed hand is behind the raw one, over its speed, wherever that is at least nine tenths of the top."""
    behind_mm = (before - after).mean(axis=1)  # (T, 3)
    velocity = np.gradient(before.mean(axis=1), 1 / FPS, axis=0)
    speed = np.linalg.norm(velocity, axis=1)
    fast = np.flatnonzero(speed > 0.9 * TOP_MM_S)
    return [float(behind_mm[at] @ velocity[at] / speed[at] ** 2 * 1e3) for at in fast if at >= SETTLE]


def draw(path: Path, rows: list[dict[str, float]], chosen: SmoothingConfig) -> None:
    """Rest jitter against lag, a line for each beta."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    rows = [row for row in rows if row["derivative_cutoff_hz"] == chosen.derivative_cutoff_hz]
    for beta in BETAS:
        line = [row for row in rows if row["beta"] == beta]
        axes.plot(
            [row["swing_lag_ms"] for row in line], [row["change_percent"] for row in line], "o-", label=f"beta {beta:g}"
        )
    (mark,) = [row for row in rows if (row["min_cutoff_hz"], row["beta"]) == (chosen.min_cutoff_hz, chosen.beta)]
    axes.plot(mark["swing_lag_ms"], mark["change_percent"], "k*", markersize=16, label="default")
    axes.axvline(10, color="grey", linewidth=0.8)
    axes.axhline(-60, color="grey", linewidth=0.8)
    axes.set_xlabel("added lag of a hand that swings at 1 m/s, ms")
    axes.set_ylabel("change of jitter at rest, %")
    cutoffs = ", ".join(f"{cutoff:g}" for cutoff in MIN_CUTOFFS_HZ)
    axes.set_title(
        f"One-Euro filter at 30 frames a second, derivative_cutoff_hz {chosen.derivative_cutoff_hz:g}; "
        f"points: min_cutoff_hz {cutoffs}",
        fontsize=9,
    )
    axes.legend()
    figure.savefig(path, dpi=80)


def main(bundle_path: Path, picture: Path) -> None:
    """Measures every setting on the same joints."""
    bundle = read_bundle(bundle_path)
    engines = open_engines(bundle, EngineConfig(), batch=1)
    settings = follow_settings(bundle, TrackingConfig(hand="right"))
    stories = [
        story
        for seed in range(HANDS)
        for is_resting in (True, False)
        for story in follow_hand(seed, is_resting, engines, settings)
    ]
    engines.close()
    rows = [
        {
            "derivative_cutoff_hz": derivative, "min_cutoff_hz": cutoff, "beta": beta,
            **measure(stories, SmoothingConfig(True, cutoff, beta, derivative)),
        }
        for derivative in DERIVATIVE_CUTOFFS_HZ
        for beta in BETAS
        for cutoff in MIN_CUTOFFS_HZ
    ]  # fmt: skip
    draw(picture, rows, SmoothingConfig())
    lengths = {"resting": sum(story.is_resting for story in stories), "of": len(stories)}
    print(json.dumps({"stories": lengths, "settings": rows}, indent=1))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
