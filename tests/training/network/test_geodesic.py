"""Fast marching against scikit-fmm, and the closeness maps made of it."""

import numpy as np
import pytest

from tests.training.network.geodesic_reference import MASKS, SIZE, stored_references
from training.network.geodesic import geodesic_closeness, march_distance


def test_agrees_with_scikit_fmm_on_stored_masks() -> None:
    worst, differently_reached, compared = 0.0, 0, 0
    for mask, row, column, expected_px in stored_references():
        reached = np.isfinite(expected_px)
        farthest_px = expected_px[reached].max()
        expected_map = np.where(reached, (farthest_px - expected_px) / farthest_px if farthest_px > 0 else 1, 0)

        found = geodesic_closeness(mask[None], np.array([[[row, column]]]))[0, 0]

        compared += 1
        worst = max(worst, float(np.abs(found - expected_map).max()))
        differently_reached += int((np.isfinite(march_distance(mask, row, column)) != reached).sum())
    assert compared == MASKS
    assert worst <= 1e-6  # of the normalized map; measured 1e-7
    assert differently_reached == 0


@pytest.mark.parametrize("gap_px", [1, 2, 3, 5, 9])
def test_a_joint_off_the_silhouette_reaches_the_whole_hand_and_stays_below_one(gap_px: int) -> None:
    mask = np.zeros((1, SIZE, SIZE), np.bool_)
    mask[0, 14:22, 12:24] = True

    closeness = geodesic_closeness(mask, np.array([[[17, 11 - gap_px + 1]]]))[0, 0]

    assert 0 < closeness.max() < 1
    assert np.count_nonzero(closeness) >= mask.sum() - 2  # the farthest pixels are 0 by definition
    assert not closeness[~mask[0]].any()


def test_an_empty_silhouette_gives_an_empty_map() -> None:
    closeness = geodesic_closeness(np.zeros((1, SIZE, SIZE), np.bool_), np.array([[[4, 5]]]))

    assert not closeness.any()


def test_a_single_pixel_is_its_own_joint() -> None:
    mask = np.zeros((1, SIZE, SIZE), np.bool_)
    mask[0, 0, 31] = True

    closeness = geodesic_closeness(mask, np.array([[[0, 31]]]))

    assert closeness[0, 0, 0, 31] == 1 and closeness.sum() == 1
