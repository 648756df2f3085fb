"""The palm detector's input and output, number by number."""

import numpy as np
import pytest

from handmap.tracking.palm_detector import DetectionMap, decode_detections, encode_depth, scaled_intrinsics
from handmap.types.arrays import Float32, Uint16
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame

INTRINSICS = Intrinsics(640, 480, 475.0, 460.0, 311.0, 243.0)
SMALL = Intrinsics(128, 96, 95.0, 92.0, 61.8, 48.2)
QUIET = -12.0


def frame_of(depth: Uint16, unit_mm: float = 1.0) -> DepthFrame:
    return DepthFrame(depth, unit_mm, INTRINSICS, 0, 0)


def answer(*peaks: tuple[int, int, float], size: float = 0.6, side: float = 2.0) -> Float32:
    """Score logits at (row, column), quiet elsewhere; size and handedness alike everywhere."""
    maps = np.empty((3, 24, 32), np.float32)
    maps[0], maps[1], maps[2] = QUIET, size, side
    for row, column, logit in peaks:
        maps[0, row, column] = logit
    return maps


def test_the_small_camera_sees_the_same_rays() -> None:
    scale, small = scaled_intrinsics(INTRINSICS)

    assert (scale, small.width_px, small.height_px) == (5.0, 128, 96)
    assert (small.fx_px, small.fy_px) == (95.0, 92.0)
    # Pixel centers are whole numbers: the outer edges, half a pixel outside, must meet.
    assert (small.cx_px + 0.5) * 5 == pytest.approx(311.5) and (small.cy_px + 0.5) * 5 == pytest.approx(243.5)


def test_a_wide_image_leaves_the_rows_below_it_empty() -> None:
    scale, small = scaled_intrinsics(Intrinsics(1280, 720, 900.0, 900.0, 639.5, 359.5))
    view = encode_depth(
        np,
        DepthFrame(np.full((720, 1280), 500, np.uint16), 1.0, Intrinsics(1280, 720, 900.0, 900.0, 639.5, 359.5), 0, 0),
    )

    assert scale == 10.0 and small.height_px == 96
    assert (view.depth_small[:72] > 0).all() and not view.depth_small[72:].any()


@pytest.mark.parametrize(
    ("z_mm", "value"), [(300, 95 * 100 / 32 / 300), (1000, 95 * 100 / 32 / 1000), (148, 2.0), (60, 2.0)]
)
def test_a_value_is_the_share_of_32_cells_that_100_mm_span_and_at_most_two(z_mm: int, value: float) -> None:
    view = encode_depth(np, frame_of(np.full((480, 640), z_mm, np.uint16)))

    np.testing.assert_allclose(view.depth_small, value, rtol=1e-5)
    assert view.depth_small.dtype == np.float32


def test_depth_units_count() -> None:
    view = encode_depth(np, frame_of(np.full((480, 640), 2000, np.uint16), 0.25))

    np.testing.assert_allclose(view.depth_small, 95 * 100 / 32 / 500, rtol=1e-5)


def test_a_single_peak_is_a_detection_at_the_place_its_size_says() -> None:
    (found,) = decode_detections(answer((10, 20, 3.0)), SMALL, 0.5, 4)

    z = 95 * 100 / 32 / 0.6
    u, v = 20 * 4 + 1.5, 10 * 4 + 1.5
    np.testing.assert_allclose(found.center_mm, ((u - 61.8) / 95 * z, (v - 48.2) / 92 * z, z), rtol=1e-3)
    assert found.center_mm.dtype == np.float32
    assert found.score == pytest.approx(1 / (1 + np.exp(-3))) and found.right_probability == pytest.approx(
        1 / (1 + np.exp(-2))
    )


def test_the_place_is_the_center_of_mass_of_the_score_around_the_peak() -> None:
    maps = answer((10, 20, 3.0), (10, 21, 1.0), (11, 20, 2.0))
    chance = 1 / (1 + np.exp(-maps[0]))
    weights = chance[9:12, 19:22] / chance[9:12, 19:22].sum()

    (found,) = decode_detections(maps, SMALL, 0.5, 4)

    z = float(found.center_mm[2])
    column, row = 20 + weights[:, 2].sum() - weights[:, 0].sum(), 10 + weights[2].sum() - weights[0].sum()
    assert found.center_mm[0] / z * 95 + 61.8 == pytest.approx(column * 4 + 1.5, abs=1e-3)
    assert found.center_mm[1] / z * 92 + 48.2 == pytest.approx(row * 4 + 1.5, abs=1e-3)


def test_non_maximum_suppression_keeps_the_local_maxima_even_at_the_border() -> None:
    maps = answer((0, 0, 2.0), (0, 1, 1.0), (23, 31, 3.0), (12, 16, 2.5), (13, 17, 2.4), (12, 19, 2.0))

    found = decode_detections(maps, SMALL, 0.5, 9)

    chances = [2.0, 3.0, 2.5, 2.0]
    assert sorted(one.score for one in found) == pytest.approx(sorted(1 / (1 + np.exp(-x)) for x in chances))


@pytest.mark.parametrize(("min_score", "count"), [(0.5, 2), (0.75, 1), (0.95, 0)])
def test_a_score_below_the_threshold_is_no_detection(min_score: float, count: int) -> None:
    assert len(decode_detections(answer((5, 5, 2.0), (15, 15, 0.5)), SMALL, min_score, 4)) == count


def test_the_surest_come_first_and_no_more_than_asked_for() -> None:
    maps = answer((2, 2, 1.0), (8, 8, 3.0), (14, 14, 2.0), (20, 20, 4.0))

    scores = [one.score for one in decode_detections(maps, SMALL, 0.5, 3)]

    assert scores == pytest.approx([1 / (1 + np.exp(-x)) for x in (4.0, 3.0, 2.0)])


def test_a_peak_without_a_size_is_passed_over() -> None:
    maps = answer((8, 8, 3.0), (14, 14, 2.0))
    maps[1, 8, 8] = 0.0

    (found,) = decode_detections(maps, SMALL, 0.5, 1)

    assert found.score == pytest.approx(1 / (1 + np.exp(-2)))


# ---- the score at a place


def place(row: float, column: float, z_mm: float = 500.0) -> Float32:
    """The point (3,) in the camera frame that is seen in the middle of a cell of the answer."""
    u, v = column * 4 + 1.5, row * 4 + 1.5
    return np.array([(u - SMALL.cx_px) / SMALL.fx_px * z_mm, (v - SMALL.cy_px) / SMALL.fy_px * z_mm, z_mm], np.float32)


@pytest.mark.parametrize(
    ("rows", "columns", "is_near"),
    [(0, 0, True), (2, -2, True), (-2, 2, True), (3, 0, False), (0, -3, False), (0, 3, False), (-3, 0, False)],
)
def test_a_score_belongs_to_places_within_two_cells(rows: int, columns: int, is_near: bool) -> None:
    maps = DetectionMap(answer((10, 16, 3.0)), SMALL)

    chance = maps.score_at(place(10 + rows, 16 + columns))

    assert chance == pytest.approx(1 / (1 + np.exp(-3.0 if is_near else -QUIET)), rel=1e-3)


@pytest.mark.parametrize("corner", [(0, 0), (0, 31), (23, 0), (23, 31)])
def test_the_corners_of_the_picture_have_scores_too(corner: tuple[int, int]) -> None:
    maps = DetectionMap(answer((*corner, 3.0)), SMALL)

    assert maps.score_at(place(*corner)) == pytest.approx(1 / (1 + np.exp(-3)))


@pytest.mark.parametrize(
    "center_mm", [(0, 0, 0), (0, 0, -500), (5000, 0, 500), (0, -5000, 500), (-5000, 0, 500), (0, 5000, 500)]
)
def test_there_is_no_score_behind_the_camera_or_off_the_picture(center_mm: tuple[float, float, float]) -> None:
    maps = DetectionMap(answer(*((row, column, 3.0) for row in range(24) for column in range(32))), SMALL)

    assert maps.score_at(np.array(center_mm, np.float32)) == 0.0


def test_scores_stay_finite_however_sure_the_network_is() -> None:
    found = decode_detections(answer((5, 5, 5000.0), (15, 15, 90.0)), SMALL, 0.5, 4)

    assert [one.score for one in found] == [1.0, 1.0]
    assert DetectionMap(answer((5, 5, -5000.0)), SMALL).score_at(place(15, 25)) < 1e-4


def test_fine_depth_units_reach_as_far_as_sixteen_bits_do() -> None:
    view = encode_depth(np, frame_of(np.full((480, 640), 60_000, np.uint16), 0.01))

    np.testing.assert_allclose(view.depth_small, 95 * 100 / 32 / 600, rtol=1e-4)
