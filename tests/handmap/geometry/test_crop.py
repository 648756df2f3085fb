"""The orthographic crop: where points land, which one wins, which holes are filled, and the inverse."""

import numpy as np
import pytest
from numpy.typing import NDArray

from handmap.geometry.crop import EMPTY, crop_hand, denormalize_points, fill_holes, normalize_points, orthographic_raw
from handmap.types.arrays import Float32, Uint16
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame, HandRoi

INTRINSICS = Intrinsics(640, 480, 475.0, 480.0, 318.5, 241.5)


def frame_of(depth: Uint16, unit_mm: float = 1.0, intrinsics: Intrinsics = INTRINSICS) -> DepthFrame:
    return DepthFrame(depth, unit_mm, intrinsics, 0, 0)


def is_speck(frame: DepthFrame, v: int, u: int) -> bool:
    """The definition: more than 20 mm nearer than each of its four neighbors, or they are not measured; not on the border."""
    height, width = frame.depth.shape
    around = [(v - 1, u), (v + 1, u), (v, u - 1), (v, u + 1)]
    if not all(0 <= row < height and 0 <= column < width for row, column in around):
        return False
    nearer_mm = [(int(frame.depth[place]) - int(frame.depth[v, u])) * frame.depth_unit_mm for place in around]
    return all(frame.depth[place] == 0 or mm > 20 for place, mm in zip(around, nearer_mm, strict=True))


def slow_crop(frame: DepthFrame, center: Float32, cube_mm: float, size: int) -> NDArray[np.int64]:
    """The definition, point by point, in double precision; also how close each point was to an edge of its cell."""
    intrinsics = frame.intrinsics
    nearest = np.full((size, size), int(EMPTY), np.int64)
    for v, u in zip(*np.nonzero(frame.depth), strict=True):
        if is_speck(frame, v, u):
            continue
        z = float(frame.depth[v, u]) * frame.depth_unit_mm
        x = (u - intrinsics.cx_px) / intrinsics.fx_px * z
        y = (v - intrinsics.cy_px) / intrinsics.fy_px * z
        q = (np.array([x, y, z]) - center) / (cube_mm / 2)
        if (np.abs(q) < 1).all():
            column, row = int((q[0] + 1) / 2 * size), int((q[1] + 1) / 2 * size)
            nearest[row, column] = min(nearest[row, column], int(frame.depth[v, u]))
    return nearest


@pytest.mark.parametrize("seed", range(5))
def test_the_nearest_point_wins_as_in_the_slow_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    intrinsics = Intrinsics(96, 64, 60.0, 61.0, 47.5, 31.5)
    depth = rng.integers(250, 700, (64, 96)).astype(np.uint16)
    depth[rng.random(depth.shape) < 0.3] = 0
    center = np.array([20.0, -10.0, 450.0], np.float32)

    found = orthographic_raw(np, frame_of(depth, 1.0, intrinsics), center, 250.0, 32)

    wanted = fill_holes(np, slow_crop(frame_of(depth, 1.0, intrinsics), center, 250.0, 32).astype(np.uint32))
    # A point within float32 rounding of a cell's edge may fall on either side.
    assert (found != wanted).mean() < 0.01


@pytest.mark.parametrize("behind", [0, 600])
def test_a_single_near_pixel_owns_no_cell(behind: int) -> None:
    depth = np.full((480, 640), behind, np.uint16)
    depth[200:280, 280:360] = 500
    salted = depth.copy()
    salted[np.random.default_rng(0).random(depth.shape) < 0.001] = 420
    center = np.array([0, 0, 500.0], np.float32)

    clean, found = (crop_hand(np, frame_of(one), center, 250.0).depth for one in (depth, salted))

    assert (salted == 420).sum() > 200
    assert (found >= clean).all()
    assert (found != clean).sum() < 40  # where several met, or the edge lost a pixel


def test_a_near_pixel_on_the_border_stays() -> None:
    depth = np.full((480, 640), 600, np.uint16)
    depth[0, 320] = 420

    crop = crop_hand(np, frame_of(depth), np.array([0, -220.0, 450.0], np.float32), 250.0)

    assert (crop.depth < 0).any()


def test_depth_is_minus_one_near_plus_one_far_and_plus_one_where_empty() -> None:
    depth = np.zeros((480, 640), np.uint16)
    depth[200:280, 280:360] = 500 * 8

    crop = crop_hand(np, frame_of(depth, 0.125), np.array([0, 0, 450]), 250.0)

    filled = crop.depth[crop.depth < 1]
    assert crop.depth.dtype == np.float32
    assert filled == pytest.approx(np.full(filled.shape, (500 - 450) / 125), abs=1e-6)
    assert crop.depth[0, 0] == 1


def test_an_axis_aligned_patch_lands_where_its_points_are() -> None:
    depth = np.zeros((480, 640), np.uint16)
    u, v = 400, 150
    depth[v, u : u + 2] = 475
    x, y = (u - INTRINSICS.cx_px) / INTRINSICS.fx_px * 475, (v - INTRINSICS.cy_px) / INTRINSICS.fy_px * 475
    center = np.array([60.0, -60.0, 480.0], np.float32)

    crop = crop_hand(np, frame_of(depth), center, 250.0)

    rows, columns = np.nonzero(crop.depth < 1)
    assert (columns[0], rows[0]) == (int((x - 60 + 125) / 250 * 128), int((y + 60 + 125) / 250 * 128))
    assert len(rows) == 1 or (len(rows) == 2 and rows[0] == rows[1] and columns[1] == columns[0] + 1)


def test_a_mirrored_crop_is_the_crop_flipped_about_its_center() -> None:
    rng = np.random.default_rng(3)
    frame = frame_of(rng.integers(400, 600, (480, 640)).astype(np.uint16))
    center = np.array([30.0, 5.0, 500.0], np.float32)

    plain = crop_hand(np, frame, center, 250.0, is_mirrored=False)
    mirrored = crop_hand(np, frame, center, 250.0, is_mirrored=True)

    np.testing.assert_array_equal(mirrored.depth, plain.depth[:, ::-1])


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_points_come_back_to_within_a_hundredth_of_a_millimeter(is_mirrored: bool) -> None:
    rng = np.random.default_rng(7)
    roi = HandRoi(np.array([31, -52, 433], np.float32), 250.0, is_mirrored)
    points = (rng.uniform(-130, 130, (200, 3)) + roi.center_mm).astype(np.float32)

    back = denormalize_points(np, normalize_points(np, points, roi), roi)

    np.testing.assert_allclose(back, points, atol=0.01)


def test_gaps_one_pixel_wide_take_the_farther_neighbor_and_wider_ones_stay() -> None:
    raw = np.full((5, 9), EMPTY, np.uint32)
    raw[2] = [10, int(EMPTY), 20, int(EMPTY), int(EMPTY), 30, 30, int(EMPTY), int(EMPTY)]

    closed = fill_holes(np, raw)

    assert closed[2].tolist() == [10, 20, 20, int(EMPTY), int(EMPTY), 30, 30, int(EMPTY), int(EMPTY)]


def test_a_lattice_with_every_other_row_and_column_empty_is_closed() -> None:
    raw = np.full((9, 9), EMPTY, np.uint32)
    raw[::2, ::2] = 7

    closed = fill_holes(np, raw)

    assert (closed == 7).all()


@pytest.mark.parametrize("center", [(0, 0, 5000), (5000, 0, 500), (0, -5000, 500), (0, 0, 30), (0, 0, -400)])
def test_a_cube_that_holds_nothing_gives_background(center: tuple[float, float, float]) -> None:
    frame = frame_of(np.full((480, 640), 500, np.uint16))

    crop = crop_hand(np, frame, np.array(center, np.float32), 250.0)

    assert (crop.depth == 1).all()


def test_unmeasured_pixels_never_enter_a_cube_that_reaches_the_camera() -> None:
    frame = frame_of(np.zeros((480, 640), np.uint16))

    crop = crop_hand(np, frame, np.array([0, 0, 60], np.float32), 250.0)

    assert (crop.depth == 1).all()
