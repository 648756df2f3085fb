"""Depth frames whose hand was taken out: the points of its cube emptied, or replaced by what stands behind them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from handmap.engines.engine import Engines
from handmap.system.timing import StageClock
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import TrackerSettings
from handmap.types.intrinsics import unproject
from handmap.types.values import DepthFrame, HandPose

CUBE_MM = 250.0
SHADOW_PX = 16  # so far beside a hand nothing is measured for its sake: a camera and its projector stand apart
BLUR_PX = 20  # how far around, as a standard deviation, tells what is behind a pixel: a palm is about 80 px wide
MIN_WEIGHT = 1e-6  # less of a blurred image is rounding
PRESENTATIONS = 5  # of a still scene in a row: a hand may be published late
FRAME_NS = 33_333_333  # 30 frames a second

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Shown:
    """What was published of a still scene: the poses of each presentation."""

    poses: tuple[tuple[HandPose, ...], ...]

    @property
    def last(self) -> tuple[HandPose, ...]:
        """The poses of the last presentation."""
        return self.poses[-1]

    @property
    def is_any_published(self) -> bool:
        """Whether any presentation published a hand."""
        return any(self.poses)


def emptied(frame: DepthFrame, center_mm: Sequence[float]) -> DepthFrame:
    """The frame with no depth at the points in the hand's cube about center_mm (3,), camera frame, mm."""
    return replace(frame, depth=np.where(in_cube(frame, center_mm), np.uint16(0), frame.depth))


def replaced_by_behind(frame: DepthFrame, center_mm: Sequence[float]) -> DepthFrame:
    """The frame with the points in the hand's cube, and the hand's shadow, at the depth of what stands behind.

    That is the mean of what is measured behind the cube around such a pixel, weighed by distance in the image, or nothing where
    most of what is around shows nothing: a hand before an empty room leaves no plate of its own shape.
    """
    is_inside = in_cube(frame, center_mm)
    is_measured = frame.depth > 0
    is_unknown = is_inside | (_grown(is_inside, SHADOW_PX) & ~is_measured)
    is_behind = frame.depth * frame.depth_unit_mm > center_mm[2] + CUBE_MM / 2
    behind = _blurred(np.where(is_behind, np.float64(1), 0))
    nothing = _blurred(np.where(is_unknown | is_measured, np.float64(0), 1))
    depth = _blurred(np.where(is_behind, frame.depth.astype(np.float64), 0)) / np.maximum(behind, MIN_WEIGHT)
    filled = np.where(behind > np.maximum(nothing, MIN_WEIGHT), depth.round(), 0).astype(np.uint16)
    return replace(frame, depth=np.where(is_unknown, filled, frame.depth))


def in_cube(frame: DepthFrame, center_mm: Sequence[float]) -> Mask:
    """Which pixels (H, W) show a point in the hand's cube about center_mm (3,), camera frame, mm."""
    rows, columns = np.indices(frame.depth.shape)
    z_mm = frame.depth * frame.depth_unit_mm
    xyz_camera_mm = unproject(np, np.stack([columns, rows], axis=-1), z_mm, frame.intrinsics)
    is_near = np.abs(xyz_camera_mm - np.asarray(center_mm)).max(axis=-1) <= CUBE_MM / 2
    inside: Mask = is_near & (frame.depth > 0)
    return inside


def show(frame: DepthFrame, engines: Engines, settings: TrackerSettings) -> Shown:
    """What is published of the frame, shown several times in a row as a camera does."""
    state, published = TrackerState(), []
    for number in range(PRESENTATIONS):
        again = replace(frame, frame_number=number, capture_ns=number * FRAME_NS)
        poses, state = track_hands(again, state, engines, settings, StageClock())
        published.append(tuple(poses))
    return Shown(tuple(published))


def _grown(mask: Mask, pixels: int) -> Mask:
    """The mask (H, W), dilated by this many steps along rows and columns."""
    for _ in range(pixels):
        wide = np.pad(mask, 1)
        mask = wide[1:-1, 1:-1] | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
    return mask


def _blurred(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """The image (H, W) blurred by a Gaussian; beyond its border is 0."""
    reach = np.arange(-4 * BLUR_PX, 4 * BLUR_PX + 1)
    weights = np.exp(-0.5 * (reach / BLUR_PX) ** 2) / (BLUR_PX * np.sqrt(2 * np.pi))
    for axis in (0, 1):
        image = np.apply_along_axis(np.convolve, axis, image, weights, mode="same")
    return image
