"""Guidance maps in torch against those of NumPy, on hands that were cropped and on silhouettes that are hard."""

import numpy as np
import pytest
import torch

from handmap.types.arrays import Bool
from tests.training.silhouettes import silhouettes
from training.network.device_guidance import (
    DEVICE_KINDS,
    iterate_closeness,
    joint_cells_on_device,
    make_device_maps,
    reduce_on_device,
)
from training.network.geodesic import geodesic_closeness
from training.network.guidance import joint_cells, make_maps, reduce_to_cells
from training.network.network import GuidanceKind
from training.samples.augment import AugmentConfig, Samples, augment, draw_warps
from training.samples.sample_cache import RenderedHands
from training.synthesis.synthetic import render_samples

CLOSE = 1e-5


@pytest.fixture(scope="module")
def samples() -> Samples:
    """Crops of hands, and of what is none."""
    drawn = render_samples(4_000_000, 32)
    hands = RenderedHands(drawn.canvas, drawn.is_hand, drawn.joints_mm)
    return augment(hands, draw_warps(AugmentConfig(), (2, 0), np.arange(32)), 250.0)


def test_cells_are_those_of_numpy(samples: Samples) -> None:
    wanted = reduce_to_cells(samples.depth, samples.is_hand)

    found = reduce_on_device(torch.from_numpy(samples.depth), torch.from_numpy(samples.is_hand))

    np.testing.assert_array_equal(found.is_hand.numpy(), wanted.is_hand)
    np.testing.assert_allclose(found.depth.numpy(), wanted.depth, atol=1e-6)


def test_joints_lie_in_the_cells_of_numpy() -> None:
    joints = np.random.default_rng(1).uniform(-1.3, 1.3, (50, 21, 3)).astype(np.float32)

    found = joint_cells_on_device(torch.from_numpy(joints))

    np.testing.assert_array_equal(found.numpy(), joint_cells(joints))


@pytest.mark.parametrize("kind", DEVICE_KINDS)
def test_maps_are_those_of_numpy_and_empty_without_a_hand(samples: Samples, kind: GuidanceKind) -> None:
    has_hand: Bool = np.all(np.isfinite(samples.joints), axis=(1, 2))
    cells = reduce_to_cells(samples.depth[has_hand], samples.is_hand[has_hand])
    wanted = make_maps(kind, cells, samples.joints[has_hand])

    on_device = reduce_on_device(torch.from_numpy(samples.depth), torch.from_numpy(samples.is_hand))
    found = make_device_maps(kind, on_device, torch.from_numpy(samples.joints)).numpy()

    assert 0 < has_hand.sum() < len(has_hand)
    np.testing.assert_allclose(found[has_hand], wanted, atol=CLOSE)
    assert not found[~has_hand].any()


def test_rounds_over_all_cells_end_where_fast_marching_does() -> None:
    hard = silhouettes(count=64, joints=8)
    wanted = geodesic_closeness(hard.hands, hard.cells)

    found = iterate_closeness(torch.from_numpy(hard.hands), torch.from_numpy(hard.cells)).numpy()

    np.testing.assert_allclose(found, wanted, atol=CLOSE)
    assert np.count_nonzero(wanted[3]) > 1000, "the maze is walked to its end"
