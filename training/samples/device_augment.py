"""The warps of `augment` in torch, on any device: crops gathered straight from a pool of canvases that stays there.

The same crops as `augment` but for two things. Places are computed in float32 instead of float64, so about two pixels in a million
fall into the neighboring cell of the canvas. And depth noise comes from the device's own generator with the same deviation:
that of `augment` is one sequence along each sample's pixels, which cannot be drawn all at once.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from handmap.types.values import CROP_PX

from ..synthesis.canvas import CANVAS_MM, CANVAS_PX, CANVAS_UNIT_MM
from .augment import BACKGROUND, SCALE_LIMIT_SIGMAS, AugmentConfig
from .drawing import NOTHING

CELLS = CANVAS_PX * CANVAS_PX


class PackedPool(NamedTuple):
    """Canvases (P, 160 * 160) int16 as `drawing.pack_canvas` gives them, and their joints_mm (P, 21, 3) float32, on one device."""

    canvas: Tensor
    joints_mm: Tensor


class DeviceWarps(NamedTuple):
    """As `augment.Warps`: angle_rad (N,), scale (N,), center_mm (N, 3), noise_mm (N,)."""

    angle_rad: Tensor
    scale: Tensor
    center_mm: Tensor
    noise_mm: Tensor


class DeviceSamples(NamedTuple):
    """As `augment.Samples`: depth (N, 128, 128) float32, is_hand (N, 128, 128) bool, joints (N, 21, 3) float32."""

    depth: Tensor
    is_hand: Tensor
    joints: Tensor


def draw_device_warps(config: AugmentConfig, count: int, generator: torch.Generator) -> DeviceWarps:
    """`count` warps distributed as those of `augment.draw_warps`."""
    device = generator.device
    uniforms = torch.rand((count, 3), device=device, generator=generator)
    normals = torch.randn((count, 4), device=device, generator=generator)
    sigma_mm = torch.where(uniforms[:, :1] < config.far_share, config.far_jitter_mm, config.near_jitter_mm)
    limit_mm = config.jitter_limit_mm
    return DeviceWarps(
        angle_rad=math.radians(config.rotation_deg) * (2 * uniforms[:, 1] - 1),
        scale=torch.exp(config.scale_sigma * normals[:, 3].clamp(-SCALE_LIMIT_SIGMAS, SCALE_LIMIT_SIGMAS)),
        center_mm=(normals[:, :3] * sigma_mm).clamp(-limit_mm, limit_mm),
        noise_mm=config.depth_noise_mm * uniforms[:, 2],
    )


def augment_on_device(
    pool: PackedPool, rows: Tensor, warps: DeviceWarps, cube_mm: float, generator: torch.Generator
) -> DeviceSamples:
    """The crops of side cube_mm that the warps cut out of the pool's rows (N,), with their joints moved alike."""
    half_mm = cube_mm / 2
    packed, is_inside = _gather(pool.canvas, rows, warps, half_mm)
    to_crop = warps.scale * (CANVAS_UNIT_MM / half_mm)
    depth = (packed >> 1) * to_crop[:, None, None] - (warps.center_mm[:, 2] / half_mm)[:, None, None]
    noise = torch.randn(depth.shape, device=depth.device, generator=generator)
    depth += noise * (warps.noise_mm / half_mm)[:, None, None]
    is_seen = is_inside & (packed != NOTHING) & (depth.abs() < 1)
    return DeviceSamples(
        torch.where(is_seen, depth, BACKGROUND),
        is_seen & ((packed & 1) == 1),
        _move_joints(pool.joints_mm[rows], warps, half_mm),
    )


def _gather(canvas: Tensor, rows: Tensor, warps: DeviceWarps, half_mm: float) -> tuple[Tensor, Tensor]:
    """The canvas values under every pixel of the crops (N, 128, 128) int16, and whether the canvas reaches there."""
    axis = ((2 * torch.arange(CROP_PX, device=canvas.device, dtype=torch.float32) + 1) / CROP_PX - 1) * half_mm
    x, y = axis + warps.center_mm[:, :1], axis + warps.center_mm[:, 1:2]  # (N, 128)
    # Back through scale and rotation to the canvas; the nearest pixel, since depths must not mix across edges.
    per_mm = CANVAS_PX / CANVAS_MM / warps.scale
    cosine, sine = (per_mm * torch.cos(warps.angle_rad))[:, None], (per_mm * torch.sin(warps.angle_rad))[:, None]
    row = torch.floor((cosine * y)[:, :, None] - (sine * x)[:, None, :] + CANVAS_PX / 2).int()
    column = torch.floor((sine * y)[:, :, None] + (cosine * x)[:, None, :] + CANVAS_PX / 2).int()
    is_inside = (row >= 0) & (row < CANVAS_PX) & (column >= 0) & (column < CANVAS_PX)
    # A pool of a million canvases has more cells than 32 bits can number.
    cell = (
        row.clamp_(0, CANVAS_PX - 1).mul_(CANVAS_PX).add_(column.clamp_(0, CANVAS_PX - 1)) + rows[:, None, None] * CELLS
    )
    return torch.take(canvas, cell), is_inside


def _move_joints(joints_mm: Tensor, warps: DeviceWarps, half_mm: float) -> Tensor:
    """Joints (N, 21, 3) after the warps, in half cube sides."""
    cosine, sine = torch.cos(warps.angle_rad)[:, None], torch.sin(warps.angle_rad)[:, None]
    x, y, z = joints_mm.unbind(2)
    moved = torch.stack([cosine * x - sine * y, sine * x + cosine * y, z], dim=2)
    return (warps.scale[:, None, None] * moved - warps.center_mm[:, None]) / half_mm
