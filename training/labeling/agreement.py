"""How well a labeled hand agrees with what the camera measured: its flesh must cover the pixels there, and not float before them."""

from typing import Final, NamedTuple

import numpy as np

from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.types.arrays import Float64, Uint16
from handmap.types.joints import BONES, KNUCKLES, MIDDLE_MCP, WRIST
from handmap.types.values import DepthFrame

from ..compiled import compiled

PIXEL_STRIDE: Final = 2
NEAR_MM: Final = 60.0  # of the hand's box: what lies farther from every joint is not the hand's
OFF_MM: Final = 12.0  # a surface this far off the flesh is not explained by it
FLOATING_MM: Final = 25.0  # a bone with nothing measured until so far behind it floats
POINTS_A_BONE: Final = 3
MEAN_PALM_MM: Final = 99.0  # wrist to middle knuckle of the mean hand, whose radii the model has


class Agreement(NamedTuple):
    """Shares in [0, 1]: of the measured pixels near the hand, those that its flesh explains; of the points along its bones before
    measured pixels, those that are not floating. NaN where nothing was measured."""

    explained: float
    supported: float

    @property
    def share(self) -> float:
        """Both together."""
        return self.explained * self.supported


def agree_with_depth(frame: DepthFrame, joints_mm: Float64) -> Agreement:
    """How the hand with these joints (21, 3), camera frame, mm, agrees with the frame. Behind the wrist the forearm may be anything."""
    camera = frame.intrinsics
    lens = np.array([camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px], np.float64)
    starts, ends = (np.ascontiguousarray(joints_mm[list(side)]) for side in zip(*BONES, strict=True))
    scale = float(np.linalg.norm(joints_mm[MIDDLE_MCP] - joints_mm[WRIST])) / MEAN_PALM_MM
    radii = load_skeleton_model().radii_mm * scale
    bones = np.concatenate([starts, ends], axis=1)  # (20, 6)
    bone_radii = np.stack([radii[list(side)] for side in zip(*BONES, strict=True)], axis=1)
    along = joints_mm[WRIST] - joints_mm[list(KNUCKLES)].mean(axis=0)
    wrist = np.concatenate([joints_mm[WRIST], along / max(float(np.linalg.norm(along)), 1e-6)])
    seen, explained = _explained(frame.depth, float(frame.depth_unit_mm), lens, bones, bone_radii, wrist)
    known, supported = _supported(frame.depth, float(frame.depth_unit_mm), lens, bones)
    return Agreement(explained / seen if seen else np.nan, supported / known if known else np.nan)


@compiled
def _explained(
    depth: Uint16, unit_mm: float, lens: Float64, bones: Float64, radii: Float64, wrist: Float64
) -> tuple[int, int]:
    """Measured pixels near the hand and before the wrist, and how many of them lie on its flesh."""
    fx, fy, cx, cy = lens
    u = np.concatenate((bones[:, 0] / bones[:, 2], bones[:, 3] / bones[:, 5])) * fx + cx
    v = np.concatenate((bones[:, 1] / bones[:, 2], bones[:, 4] / bones[:, 5])) * fy + cy
    margin = NEAR_MM / 2 * fx / bones[:, 2].mean()
    first_row, end_row = max(int(v.min() - margin), 0), min(int(v.max() + margin) + 1, depth.shape[0])
    first_column, end_column = max(int(u.min() - margin), 0), min(int(u.max() + margin) + 1, depth.shape[1])
    seen, explained = 0, 0
    for row in range(first_row, end_row, PIXEL_STRIDE):
        for column in range(first_column, end_column, PIXEL_STRIDE):
            z = depth[row, column] * unit_mm
            if z == 0:
                continue
            x, y = (column - cx) / fx * z, (row - cy) / fy * z
            if (x - wrist[0]) * wrist[3] + (y - wrist[1]) * wrist[4] + (z - wrist[2]) * wrist[5] > 0:
                continue
            off = _off_flesh(x, y, z, bones, radii)
            if off < NEAR_MM:
                seen += 1
                explained += off < OFF_MM
    return seen, explained


@compiled
def _off_flesh(x: float, y: float, z: float, bones: Float64, radii: Float64) -> float:
    """How far a point is outside the flesh around the bones, mm; negative inside it."""
    nearest = 1e9
    for bone in range(len(bones)):
        ax, ay, az = bones[bone, 3] - bones[bone, 0], bones[bone, 4] - bones[bone, 1], bones[bone, 5] - bones[bone, 2]
        px, py, pz = x - bones[bone, 0], y - bones[bone, 1], z - bones[bone, 2]
        share = min(max((px * ax + py * ay + pz * az) / max(ax * ax + ay * ay + az * az, 1e-9), 0.0), 1.0)
        away = np.sqrt((px - share * ax) ** 2 + (py - share * ay) ** 2 + (pz - share * az) ** 2)
        nearest = min(nearest, away - (radii[bone, 0] * (1 - share) + radii[bone, 1] * share))
    return float(nearest)


@compiled
def _supported(depth: Uint16, unit_mm: float, lens: Float64, bones: Float64) -> tuple[int, int]:
    """Points along the bones whose pixel was measured, and how many of them have a surface near before or behind them."""
    known, supported = 0, 0
    for bone in range(len(bones)):
        for step in range(POINTS_A_BONE):
            share = (step + 1) / POINTS_A_BONE
            x, y, z = bones[bone, :3] * (1 - share) + bones[bone, 3:] * share
            row, column = int(np.rint(y / z * lens[1] + lens[3])), int(np.rint(x / z * lens[0] + lens[2]))
            if 0 <= row < depth.shape[0] and 0 <= column < depth.shape[1] and depth[row, column] > 0:
                known += 1
                supported += depth[row, column] * unit_mm < z + FLOATING_MM
    return known, supported
