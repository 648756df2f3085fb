"""Training samples: hands of training shapes seen by random depth cameras, printed around their true centre; some show no hand.

No crop jitter, rotation or scaling here: `augment` does that on the canvas, so that a rendered sample can be used many times.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handmap.arrays import Bool, Float32, Float64
from handmap.joints import JOINT_COUNT

from .canvas import CANVAS_MM, CANVAS_PX, CANVAS_UNIT_MM, EMPTY, print_canvas
from .hand_model import HandAsset, load_hand_asset, shape_hand, train_coefficients
from .no_hand import render_no_hand
from .poses import sample_pose
from .scene import HEIGHT_PX, TRAINING, WIDTH_PX, Scene, Window, centre_of, draw_scene, render_scene
from .sensor import draw_sensor, sense

__all__ = ["CANVAS_MM", "CANVAS_PX", "CANVAS_UNIT_MM", "EMPTY", "SampleBatch", "render_samples"]

SEED_DOMAIN = 5  # keeps these streams apart from those of validation and motion
DEPTH_UNITS_MM = (1.0, 0.125)  # what RealSense cameras deliver
NEAR_CLUTTER_MM = 60.0
NO_HAND_SHARE = 0.18
LEAST_HAND_CELLS = 300  # of the canvas; a fist seen end on has about 1500
SCENE_ATTEMPTS = 8
MARGIN_PX = 3  # for jitter at the window's rim


@dataclass(frozen=True)
class SampleBatch:
    """N rendered samples.

    canvas (N, 160, 160) int16 in CANVAS_UNIT_MM behind the canvas centre, EMPTY where nothing was seen; is_hand (N, 160, 160)
    where the pixel shows hand or forearm; joints_mm (N, 21, 3) about the canvas centre, axes as in the camera frame, all NaN
    where the sample shows no hand.
    """

    canvas: NDArray[np.int16]
    is_hand: Bool
    joints_mm: Float32


def render_samples(first_seed: int, count: int) -> SampleBatch:
    """Samples first_seed to first_seed + count - 1; each depends on its own seed alone."""
    canvas = np.empty((count, CANVAS_PX, CANVAS_PX), np.int16)
    is_hand = np.empty((count, CANVAS_PX, CANVAS_PX), np.bool_)
    joints_mm = np.empty((count, JOINT_COUNT, 3), np.float32)
    for i in range(count):
        canvas[i], is_hand[i], joints_mm[i] = _render_sample(first_seed + i)
    return SampleBatch(canvas, is_hand, joints_mm)


def _render_sample(seed: int) -> tuple[NDArray[np.int16], Bool, Float64]:
    random = np.random.default_rng([SEED_DOMAIN, seed])
    if random.uniform() < NO_HAND_SHARE:
        return *render_no_hand(random), np.full((JOINT_COUNT, 3), np.nan)
    asset = load_hand_asset()
    shape = shape_hand(asset, train_coefficients(asset, random))
    _, hand = sample_pose(asset, shape.anchors_mm, random)
    for _ in range(SCENE_ATTEMPTS):
        scene = draw_scene(asset, shape, hand, TRAINING, random)
        canvas, is_hand = _see(asset, scene, random)
        if is_hand.sum() >= LEAST_HAND_CELLS:  # else clutter or the sensor's least distance hides the hand
            break
    return canvas, is_hand, scene.joints_mm - centre_of(scene.joints_mm)


def _see(asset: HandAsset, scene: Scene, random: np.random.Generator) -> tuple[NDArray[np.int16], Bool]:
    """Canvas and mask of what a random sensor sees of the scene."""
    centre = centre_of(scene.joints_mm)
    window = _window(scene, centre)
    z_mm, drawn = render_scene(asset, scene, window)
    unit_mm = DEPTH_UNITS_MM[int(random.integers(len(DEPTH_UNITS_MM)))]
    raw, mask = sense(z_mm, drawn, scene.lens.fx_px, draw_sensor(random, unit_mm, window.height, window.width))
    lens = scene.lens
    offsets = np.array([lens.fx_px, lens.fy_px, lens.cx_px - window.left, lens.cy_px - window.top])
    return print_canvas(raw, mask, unit_mm, offsets, centre)


def _window(scene: Scene, centre_mm: Float64) -> Window:
    """The part of the image that the canvas can show: the skin inside its cube, or the whole cube where there is clutter."""
    half = CANVAS_MM / 2
    if scene.plane is None and scene.ellipsoid is None:
        near = (np.abs(scene.skin_mm - centre_mm) < half).all(axis=1)
        points = scene.skin_mm[near]
    else:
        # Nearer than this, clutter at the canvas's rim may be missing: the window would grow to the whole image for it.
        corners = np.array([[x, y, z] for x in (-half, half) for y in (-half, half) for z in (-NEAR_CLUTTER_MM, half)])
        points = centre_mm + corners
    points = points[points[:, 2] > 100]
    u = points[:, 0] / points[:, 2] * scene.lens.fx_px + scene.lens.cx_px
    v = points[:, 1] / points[:, 2] * scene.lens.fy_px + scene.lens.cy_px
    left, right = _clipped(float(u.min()), float(u.max()), WIDTH_PX)
    top, bottom = _clipped(float(v.min()), float(v.max()), HEIGHT_PX)
    return Window(left, top, right - left, bottom - top)


def _clipped(low: float, high: float, size_px: int) -> tuple[int, int]:
    """First pixel and end of a range with a margin, at least one pixel inside the image."""
    first = min(max(math.floor(low) - MARGIN_PX, 0), size_px - 1)
    return first, max(min(math.ceil(high) + MARGIN_PX + 1, size_px), first + 1)
