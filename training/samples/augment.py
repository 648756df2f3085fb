"""Rendered hands to network samples: in-plane rotation, scale, a crop center that is off, light depth noise, orthographic crop.

A sample is a function of (seed, epoch, index) alone, so a run can be repeated, resumed in the middle, or spread over machines.
Rendering is in `synthetic`, the guidance maps are in `guidance`.
"""

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from handmap.types.arrays import Bool, Float32, Float64
from handmap.types.joints import JOINT_COUNT
from handmap.types.values import CROP_PX

from ..compiled import compiled
from ..synthesis.synthetic import CANVAS_MM, CANVAS_PX, CANVAS_UNIT_MM, EMPTY
from .sample_cache import RenderedHands

BACKGROUND = 1.0
SCALE_LIMIT_SIGMAS = 2.5


class AugmentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far samples are varied. The center is off by a mixture: usually a little (tracking), sometimes more (detection)."""

    rotation_deg: float = 180.0
    scale_sigma: float = 0.08
    near_jitter_mm: float = 7.0
    far_jitter_mm: float = 22.0
    far_share: float = 0.25
    jitter_limit_mm: float = 45.0
    depth_noise_mm: float = 1.2


class Samples(NamedTuple):
    """A batch for the network: depth (N, 128, 128) in [-1, 1], background +1; is_hand (N, 128, 128); joints (N, 21, 3) in half cube sides."""

    depth: Float32
    is_hand: Bool
    joints: Float32


class Warps(NamedTuple):
    """How each canvas becomes a crop: rotation about z, scale, the crop's center after both in mm (N, 3), noise amplitude in mm."""

    angle_rad: Float64
    scale: Float64
    center_mm: Float64
    noise_mm: Float64
    noise_seed: NDArray[np.uint64]


def draw_warps(config: AugmentConfig, key: tuple[int, int], indices: NDArray[np.int64]) -> Warps:
    """The warps of samples `indices` (N,) under key = (seed, epoch)."""
    rows = [np.random.Philox(key=_mix(*key, int(index))) for index in indices]
    # One row of standard normals and uniforms a sample, in a fixed order.
    draws = [np.random.Generator(row) for row in rows]
    uniforms = np.array([draw.random(4) for draw in draws]).reshape(-1, 4)
    normals = np.array([draw.standard_normal(4) for draw in draws]).reshape(-1, 4)
    sigma_mm = np.where(uniforms[:, 0] < config.far_share, config.far_jitter_mm, config.near_jitter_mm)
    limit_mm = config.jitter_limit_mm
    return Warps(
        angle_rad=np.deg2rad(config.rotation_deg) * (2 * uniforms[:, 1] - 1),
        scale=np.exp(config.scale_sigma * np.clip(normals[:, 3], -SCALE_LIMIT_SIGMAS, SCALE_LIMIT_SIGMAS)),
        center_mm=np.clip(normals[:, :3] * sigma_mm[:, None], -limit_mm, limit_mm),
        noise_mm=config.depth_noise_mm * uniforms[:, 2],
        noise_seed=(uniforms[:, 3] * 2**53).astype(np.uint64),
    )


def augment(rendered: RenderedHands, warps: Warps, cube_mm: float) -> Samples:
    """The crops of side cube_mm that the warps cut out of rendered hands, with their joints moved alike."""
    count = len(rendered.canvas)
    samples = Samples(
        np.empty((count, CROP_PX, CROP_PX), np.float32),
        np.empty((count, CROP_PX, CROP_PX), np.bool_),
        np.empty((count, JOINT_COUNT, 3), np.float32),
    )
    _warp(rendered, warps, cube_mm / 2, samples)
    return samples


@compiled
def _warp(rendered: RenderedHands, warps: Warps, half_mm: float, samples: Samples) -> None:
    for sample in range(len(samples.depth)):
        sine, cosine = np.sin(warps.angle_rad[sample]), np.cos(warps.angle_rad[sample])
        scale, center = warps.scale[sample], warps.center_mm[sample]
        for joint in range(JOINT_COUNT):
            xyz = rendered.joints_mm[sample, joint]
            moved = samples.joints[sample, joint]
            moved[0] = (scale * (cosine * xyz[0] - sine * xyz[1]) - center[0]) / half_mm
            moved[1] = (scale * (sine * xyz[0] + cosine * xyz[1]) - center[1]) / half_mm
            moved[2] = (scale * xyz[2] - center[2]) / half_mm
        state = warps.noise_seed[sample]
        noise = warps.noise_mm[sample] / half_mm
        to_crop = scale * CANVAS_UNIT_MM / half_mm
        per_mm = CANVAS_PX / CANVAS_MM
        for row in range(CROP_PX):
            y = ((2 * row + 1) / CROP_PX - 1) * half_mm + center[1]
            for column in range(CROP_PX):
                x = ((2 * column + 1) / CROP_PX - 1) * half_mm + center[0]
                # Back through scale and rotation to the canvas; the nearest pixel, since depths must not mix across edges.
                r = int(np.floor((cosine * y - sine * x) / scale * per_mm + CANVAS_PX / 2))
                c = int(np.floor((cosine * x + sine * y) / scale * per_mm + CANVAS_PX / 2))
                depth, is_hand = BACKGROUND, False
                if 0 <= r < CANVAS_PX and 0 <= c < CANVAS_PX and rendered.canvas[sample, r, c] != EMPTY:
                    state = _next(state)
                    depth = rendered.canvas[sample, r, c] * to_crop - center[2] / half_mm + noise * _bell(state)
                    is_hand = rendered.is_hand[sample, r, c] and abs(depth) < 1
                    depth = depth if abs(depth) < 1 else BACKGROUND
                samples.depth[sample, row, column] = depth
                samples.is_hand[sample, row, column] = is_hand


@compiled
def _next(state: np.uint64) -> np.uint64:
    """The next state of a 64-bit xorshift generator that never visits 0 from another value."""
    state = state | np.uint64(1) if state == 0 else state
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    return state ^ (state << np.uint64(17))


@compiled
def _bell(state: np.uint64) -> float:
    """A roughly normal number of mean 0 and deviation 1: the sum of the four 16-bit fields of `state`."""
    mask = np.uint64(0xFFFF)
    total = (
        (state & mask)
        + ((state >> np.uint64(16)) & mask)
        + ((state >> np.uint64(32)) & mask)
        + (state >> np.uint64(48))
    )
    # Each field is uniform on [0, 1) with variance 1/12; four of them have mean 2 and variance 1/3.
    return (float(total) / 65536.0 - 2.0) * 1.7320508


def _mix(seed: int, epoch: int, index: int) -> int:
    """A 128-bit Philox key of the three."""
    return (index << 64) | ((seed & 0xFFFFFFFF) << 32) | (epoch & 0xFFFFFFFF)
