"""The measured points of the hands: pixels of the preview that lie in a hand's cube, as a colored cloud."""

from typing import Final

import numpy as np

from handmap.protocol.preview import Picture
from handmap.types.arrays import Float32, Uint8
from handmap.types.intrinsics import unproject

from .colors import depth_colors

MAX_POINTS: Final = 20_000


def hand_cloud(picture: Picture, depth_mm: Float32) -> tuple[Float32, Uint8]:
    """Points (N, 3) in the published frame, m, with colors (N, 3), light where near, of a picture with this depth (H, W), mm."""
    rows, columns = np.nonzero(depth_mm)
    z_mm = depth_mm[rows, columns]
    points_mm = unproject(np, np.stack([columns, rows], axis=1).astype(np.float32), z_mm, picture.intrinsics)
    is_in = np.zeros(len(points_mm), bool)
    for hand in picture.hands:
        is_in |= (np.abs(points_mm - np.array(hand.cube.center_mm)) <= hand.cube.side_mm / 2).all(axis=1)
    points_mm = points_mm[is_in][:MAX_POINTS].astype(np.float32)
    if not len(points_mm):
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8)
    near_mm, far_mm = np.percentile(points_mm[:, 2], (1, 99))
    colors = depth_colors(points_mm[:, 2], float(near_mm), float(far_mm))
    points_m = points_mm / np.float32(1000)
    if picture.camera_to_frame is not None:
        rows_m = np.array(picture.camera_to_frame, np.float32)
        points_m = points_m @ rows_m[:, :3].T + rows_m[:, 3]
    return points_m.astype(np.float32), colors
