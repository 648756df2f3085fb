"""How well a labeled hand agrees with what the camera measured: its flesh must cover the pixels there, and not float before them."""

from typing import Final, NamedTuple

import numpy as np

from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.tracking.track import PALM_MM, palm_length_mm
from handmap.types.arrays import Float64, Uint16
from handmap.types.joints import BONES, KNUCKLES, WRIST
from handmap.types.values import DepthFrame

from ..compiled import compiled
from ..samples.flesh import off_flesh_mm

PIXEL_STRIDE: Final = 2
NEAR_MM: Final = 60.0  # of the hand's box: what lies farther from every joint is not the hand's
OFF_MM: Final = 12.0  # a surface this far off the flesh is not explained by it
FLOATING_MM: Final = 25.0  # a bone with nothing measured until so far behind it floats
POINTS_A_BONE: Final = 3


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
    ends = np.array(BONES)
    bones = joints_mm[ends]  # (20, 2, 3)
    radii = load_skeleton_model().radii_mm[ends] * palm_length_mm(joints_mm.astype(np.float32)) / PALM_MM
    along = joints_mm[WRIST] - joints_mm[list(KNUCKLES)].mean(axis=0)
    wrist = np.concatenate([joints_mm[WRIST], along / max(float(np.linalg.norm(along)), 1e-6)])
    seen, explained = _explained(frame.depth, float(frame.depth_unit_mm), lens, bones, radii, wrist)
    known, supported = _supported(frame.depth, float(frame.depth_unit_mm), lens, bones)
    return Agreement(explained / seen if seen else np.nan, supported / known if known else np.nan)


@compiled
def _explained(
    depth: Uint16, unit_mm: float, lens: Float64, bones: Float64, radii: Float64, wrist: Float64
) -> tuple[int, int]:
    """Measured pixels near the hand and before the wrist, and how many of them lie on its flesh."""
    fx, fy, cx, cy = lens
    u = bones[..., 0] / bones[..., 2] * fx + cx
    v = bones[..., 1] / bones[..., 2] * fy + cy
    margin = NEAR_MM / 2 * fx / bones[:, 0, 2].mean()
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
            off_mm = off_flesh_mm(x, y, z, bones, radii)
            if off_mm < NEAR_MM:
                seen += 1
                explained += off_mm < OFF_MM
    return seen, explained


@compiled
def _supported(depth: Uint16, unit_mm: float, lens: Float64, bones: Float64) -> tuple[int, int]:
    """Points along the bones whose pixel was measured, and how many of them have a surface near before or behind them."""
    known, supported = 0, 0
    for bone in range(len(bones)):
        for step in range(POINTS_A_BONE):
            share = (step + 1) / POINTS_A_BONE
            x, y, z = bones[bone, 0] * (1 - share) + bones[bone, 1] * share
            row, column = int(np.rint(y / z * lens[1] + lens[3])), int(np.rint(x / z * lens[0] + lens[2]))
            if 0 <= row < depth.shape[0] and 0 <= column < depth.shape[1] and depth[row, column] > 0:
                known += 1
                supported += depth[row, column] * unit_mm < z + FLOATING_MM
    return known, supported
