"""Stray near pixels go, surfaces stay."""

import numpy as np

from handmap.geometry.despeckle import without_specks


def test_single_near_pixels_take_the_depth_around_them() -> None:
    depth = np.full((40, 50), 600, np.uint16)
    salted = depth.copy()
    salted[5::7, 6::9] = 200

    found = without_specks(np, salted)

    np.testing.assert_array_equal(found, depth)


def test_a_finger_of_three_pixels_stays_whichever_way_it_points() -> None:
    depth = np.full((40, 50), 600, np.uint16)
    depth[10:30, 20:23] = 400
    depth[5:8, 30:45] = 300

    np.testing.assert_array_equal(without_specks(np, depth), depth)


def test_nothing_comes_nearer() -> None:
    depth = np.random.default_rng(0).integers(1, 65535, (60, 80)).astype(np.uint16)

    assert (without_specks(np, depth) >= depth).all()
