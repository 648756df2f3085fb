"""The palm graph's input image, and how its output becomes hands in millimeters."""

import numpy as np
import pytest

from handmap.tracking.palm_detector import SPAN_CELLS, SPAN_MM, decode_detections, encode_depth, scaled_intrinsics
from handmap.types.arrays import Float32
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame

INTRINSICS = Intrinsics(640, 480, 475.0, 475.0, 320.0, 240.0)


def frame_of(
    depth: np.ndarray[tuple[int, ...], np.dtype[np.uint16]], intrinsics: Intrinsics, unit_mm: float = 1.0
) -> DepthFrame:
    return DepthFrame(depth, unit_mm, intrinsics, 0, 0)


def wall(intrinsics: Intrinsics, z_mm: float, unit_mm: float = 1.0) -> DepthFrame:
    return frame_of(
        np.full((intrinsics.height_px, intrinsics.width_px), round(z_mm / unit_mm), np.uint16), intrinsics, unit_mm
    )


def answer_at(intrinsics: Intrinsics, center_mm: Float32, score: float = 4.0, side: float = 3.0) -> Float32:
    """The output of a perfect palm graph for one hand: a peak in the score, with size and side around it."""
    x, y, z = (float(value) for value in center_mm)
    column = (x / z * intrinsics.fx_px + intrinsics.cx_px - 1.5) / 4
    row = (y / z * intrinsics.fy_px + intrinsics.cy_px - 1.5) / 4
    rows, columns = np.mgrid[:24, :32]
    bump = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 2)
    chance = np.clip(bump / (1 + np.exp(-score)), 1e-6, 1 - 1e-6)
    size = intrinsics.fx_px * SPAN_MM / SPAN_CELLS / z
    return np.stack([np.log(chance / (1 - chance)), np.full_like(bump, size), np.full_like(bump, side)]).astype(
        np.float32
    )


@pytest.mark.parametrize(
    ("intrinsics", "unit_mm"),
    [
        (INTRINSICS, 1.0),
        (Intrinsics(320, 240, 237.5, 237.5, 159.75, 119.75), 0.25),
        (Intrinsics(1280, 720, 950.0, 950.0, 640.0, 360.0), 0.125),
    ],
)
def test_the_same_wall_looks_alike_to_every_camera(intrinsics: Intrinsics, unit_mm: float) -> None:
    scale, small = scaled_intrinsics(intrinsics)
    view = encode_depth(np, wall(intrinsics, 500, unit_mm))

    rows, columns = round(intrinsics.height_px / scale), round(intrinsics.width_px / scale)
    np.testing.assert_allclose(view.depth_small[:rows, :columns], small.fx_px * 100 / 32 / 500, rtol=1e-3)
    assert not view.depth_small[rows:].any() and (rows, columns) in ((96, 128), (72, 128))


def test_the_nearest_of_a_block_wins_and_unmeasured_pixels_are_ignored() -> None:
    depth = np.zeros((480, 640), np.uint16)
    depth[:5, :5] = 900
    depth[2:4, 2:4] = 400
    view = encode_depth(np, frame_of(depth, INTRINSICS))

    assert view.depth_small[0, 0] == pytest.approx(95 * 100 / 32 / 400)
    assert np.count_nonzero(view.depth_small) == 1


def test_stray_near_pixels_are_not_taken_for_a_surface() -> None:
    random = np.random.default_rng(0)
    depth = np.full((480, 640), 700, np.uint16)
    clean = encode_depth(np, frame_of(depth, INTRINSICS)).depth_small
    is_salt = random.uniform(size=depth.shape) < 0.01

    salted = encode_depth(np, frame_of(np.where(is_salt, 450, depth).astype(np.uint16), INTRINSICS)).depth_small

    assert (salted != clean).mean() < 0.01


def test_every_pixel_is_seen_where_blocks_are_not_whole() -> None:
    intrinsics = Intrinsics(424, 240, 210.0, 210.0, 212.0, 120.0)
    for row, column in ((0, 0), (239, 423), (100, 211), (37, 300)):
        depth = np.zeros((240, 424), np.uint16)
        depth[max(row - 1, 0) : row + 1, max(column - 1, 0) : column + 1] = 500

        assert encode_depth(np, frame_of(depth, intrinsics)).depth_small.any(), (row, column)


@pytest.mark.parametrize("center", [(0.0, 0.0, 400.0), (-120.0, 60.0, 350.0), (200.0, -150.0, 800.0)])
def test_a_hand_is_read_where_it_is(center: tuple[float, float, float]) -> None:
    _, small = scaled_intrinsics(INTRINSICS)
    (palm,) = decode_detections(answer_at(small, np.array(center, np.float32)), small, 0.3, 4)

    assert float(np.linalg.norm(palm.center_mm - np.array(center))) < 0.02 * center[2]  # a cell is 0.042 z
    assert palm.right_probability > 0.9 and palm.score > 0.5


def test_two_hands_come_the_surest_first_and_no_more_than_asked_for() -> None:
    _, small = scaled_intrinsics(INTRINSICS)
    sure = answer_at(small, np.array((-150, 0, 500), np.float32), score=5.0)
    faint = answer_at(small, np.array((150, 0, 500), np.float32), score=1.0, side=-3.0)
    both = np.where(sure[:1] > faint[:1], sure, faint)

    palms = decode_detections(both, small, 0.3, 4)

    assert [round(palm.center_mm[0] / 50) for palm in palms] == [-3, 3]
    assert palms[1].right_probability < 0.1
    assert len(decode_detections(both, small, 0.3, 1)) == 1
    assert decode_detections(np.full((3, 24, 32), -9, np.float32), small, 0.3, 4) == []
