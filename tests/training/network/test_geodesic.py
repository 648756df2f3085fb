"""Fast marching against scikit-fmm, and the closeness maps made of it."""

import numpy as np
import pytest
import skfmm
from scipy import ndimage

from handmap.types.arrays import Bool, Float64
from training.network.geodesic import geodesic_closeness, march_distance

SIZE = 32


def random_mask(seed: int) -> tuple[Bool, int, int]:
    """A blobby mask with islands and holes, and one of its pixels."""
    rng = np.random.default_rng(seed)
    mask = ndimage.gaussian_filter(rng.normal(size=(SIZE, SIZE)), rng.uniform(0.8, 3)) > rng.uniform(-0.02, 0.02)
    rows, columns = np.nonzero(mask)
    chosen = rng.integers(len(rows))
    return mask, int(rows[chosen]), int(columns[chosen])


def reference_distance(mask: Bool, row: int, column: int) -> Float64:
    """scikit-fmm, first order, inf where it does not reach."""
    phi = np.ma.MaskedArray(np.ones(mask.shape), ~mask)
    phi[row, column] = 0
    return np.asarray(np.ma.filled(skfmm.distance(phi, dx=1, order=1), np.inf))


def test_agrees_with_scikit_fmm_on_500_masks() -> None:
    worst, differently_reached = 0.0, 0
    for seed in range(500):
        mask, row, column = random_mask(seed)
        expected = reference_distance(mask, row, column)
        reached = np.isfinite(expected)
        farthest = expected[reached].max()
        expected_map = np.where(reached, (farthest - expected) / farthest if farthest > 0 else 1, 0)

        found = geodesic_closeness(mask[None], np.array([[[row, column]]]))[0, 0]

        worst = max(worst, float(np.abs(found - expected_map).max()))
        differently_reached += int((np.isfinite(march_distance(mask, row, column)) != reached).sum())
    assert worst <= 1e-6  # of the normalized map; measured 3e-8
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
