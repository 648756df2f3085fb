"""Training samples: hands of training shapes seen by random depth cameras, printed around their true center; some show no hand.

No crop jitter, rotation or scaling here: `augment` does that on the canvas, so that a rendered sample can be used many times.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from handmap.types.arrays import Bool, Float32, Float64
from handmap.types.joints import JOINT_COUNT

from ..hand.hand_model import HandAsset, HandShape, load_hand_asset, shape_hand, train_coefficients
from ..hand.poses import sample_any_pose, sample_pose
from ..hand.shape_variation import draw_variation, vary_shape
from ..seed_domains import SeedDomain
from .canvas import CANVAS_MM, CANVAS_PX, CANVAS_UNIT_MM, EMPTY, print_canvas
from .negatives import render_negative
from .placement import PLAIN, TRAINING
from .scene import HEIGHT_PX, WIDTH_PX, PixelWindow, Scene, center_of, draw_scene, render_scene
from .sensor import DEPTH_UNITS_MM, Sensor, draw_any_sensor, draw_sensor, sense

__all__ = ["CANVAS_MM", "CANVAS_PX", "CANVAS_UNIT_MM", "EMPTY", "SampleBatch", "render_samples"]

DrawSensor: TypeAlias = Callable[[np.random.Generator, float, int, int], Sensor]  # of depth unit in mm, height, width

NEAR_CLUTTER_MM = 60.0
NO_HAND_SHARE = 0.18
MIN_HAND_CELLS = 300  # of the canvas; a fist seen end on has about 1500
SCENE_ATTEMPTS = 8
PLAIN_SHARE = 0.4  # of hands: a scanned shape in a common pose before a plain sensor, as most hands are
VARIED_SHARE = 0.7  # of hands: shapes beyond the base mesh
VARIED_SIZE = 0.6  # how much of its base shape, mostly its size, such a hand keeps: the scales bring their own
SALT_SHARE, SALT = 0.08, (0.002, 0.015)  # of samples, and of their pixels
HOLES_SHARE, HOLES = 0.10, (0.05, 0.35)  # of samples, and of the hand in them
MARGIN_PX = 3  # for jitter at the window's rim


@dataclass(frozen=True)
class SampleBatch:
    """N rendered samples.

    canvas (N, 160, 160) int16 in CANVAS_UNIT_MM behind the canvas center, EMPTY where nothing was seen; is_hand (N, 160, 160)
    where the pixel shows hand or forearm; joints_mm (N, 21, 3) about the canvas center, axes as in the camera frame, all NaN
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
    random = np.random.default_rng([SeedDomain.TRAINING, seed])
    if random.uniform() < NO_HAND_SHARE:
        return *render_negative(random), np.full((JOINT_COUNT, 3), np.nan)
    asset = load_hand_asset()
    if random.uniform() < PLAIN_SHARE:
        shape = shape_hand(asset, train_coefficients(asset, random))
        _, hand = sample_pose(asset, shape.anchors_mm, random)
        placement, draw_its_sensor = PLAIN, draw_sensor
    else:
        shape = draw_shape(asset, random)
        _, hand = sample_any_pose(asset, shape.anchors_mm, random)
        placement, draw_its_sensor = TRAINING, draw_faulty_sensor
    for _ in range(SCENE_ATTEMPTS):
        scene = draw_scene(asset, shape, hand, placement, random)
        canvas, is_hand = _see(asset, scene, draw_its_sensor, random)
        if is_hand.sum() >= MIN_HAND_CELLS:  # else clutter or the sensor's least distance hides the hand
            break
    return canvas, is_hand, scene.joints_mm - center_of(scene.joints_mm)


def draw_shape(asset: HandAsset, random: np.random.Generator) -> HandShape:
    """A person that training may see, mostly with proportions far from the base mesh's."""
    coefficients = train_coefficients(asset, random)
    if random.uniform() >= VARIED_SHARE:
        return shape_hand(asset, coefficients)
    return vary_shape(asset, shape_hand(asset, VARIED_SIZE * coefficients), draw_variation(random))


def draw_faulty_sensor(random: np.random.Generator, depth_unit_mm: float, height_px: int, width_px: int) -> Sensor:
    """A sensor of any family, now and then with salt before the hand or holes in it."""
    sensor = draw_any_sensor(random, depth_unit_mm, height_px, width_px)
    salted, holed = random.uniform(size=2) < (SALT_SHARE, HOLES_SHARE)
    return replace(
        sensor,
        near_salt=random.uniform(*SALT) if salted else 0.0,
        hole_share=random.uniform(*HOLES) if holed else 0.0,
    )


def _see(
    asset: HandAsset, scene: Scene, draw_its_sensor: DrawSensor, random: np.random.Generator
) -> tuple[NDArray[np.int16], Bool]:
    """Canvas and mask of what a random sensor sees of the scene."""
    center = center_of(scene.joints_mm)
    window = _window(scene, center)
    z_mm, drawn = render_scene(asset, scene, window)
    unit_mm = DEPTH_UNITS_MM[int(random.integers(len(DEPTH_UNITS_MM)))]
    raw, mask = sense(
        z_mm, drawn, scene.intrinsics.fx_px, draw_its_sensor(random, unit_mm, window.height, window.width)
    )
    intrinsics = scene.intrinsics
    offsets = np.array(
        [intrinsics.fx_px, intrinsics.fy_px, intrinsics.cx_px - window.left, intrinsics.cy_px - window.top]
    )
    return print_canvas(raw, mask, unit_mm, offsets, center)


def _window(scene: Scene, center_mm: Float64) -> PixelWindow:
    """The part of the image that the canvas can show: skin and clothes inside its cube, or the whole cube where there is clutter."""
    half = CANVAS_MM / 2
    if scene.plane is None and scene.ellipsoid is None and not scene.company:
        drawn = np.concatenate([scene.skin_mm, *(mesh.xyz_mm for mesh in scene.worn)])
        points = drawn[(np.abs(drawn - center_mm) < half).all(axis=1)]
    else:
        # Nearer than this, clutter at the canvas's rim may be missing: the window would grow to the whole image for it.
        corners = np.array([[x, y, z] for x in (-half, half) for y in (-half, half) for z in (-NEAR_CLUTTER_MM, half)])
        points = center_mm + corners
    points = points[points[:, 2] > 100]
    u = points[:, 0] / points[:, 2] * scene.intrinsics.fx_px + scene.intrinsics.cx_px
    v = points[:, 1] / points[:, 2] * scene.intrinsics.fy_px + scene.intrinsics.cy_px
    left, right = _clipped(float(u.min()), float(u.max()), WIDTH_PX)
    top, bottom = _clipped(float(v.min()), float(v.max()), HEIGHT_PX)
    return PixelWindow(left, top, right - left, bottom - top)


def _clipped(low: float, high: float, size_px: int) -> tuple[int, int]:
    """First pixel and end of a range with a margin, at least one pixel inside the image."""
    first = min(max(math.floor(low) - MARGIN_PX, 0), size_px - 1)
    return first, max(min(math.ceil(high) + MARGIN_PX + 1, size_px), first + 1)
