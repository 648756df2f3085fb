"""Warps in torch against those of `augment`: the same crops but for a few pixels in a million."""

import numpy as np
import pytest
import torch

from tests.training.host_warps import move_warps
from training.samples.augment import AugmentConfig, augment, draw_warps
from training.samples.device_augment import DeviceSamples, PackedPool, augment_on_device, draw_device_warps
from training.samples.drawing import CELLS, pack_canvas
from training.samples.sample_cache import RenderedHands
from training.synthesis.canvas import CANVAS_PX
from training.synthesis.synthetic import SampleBatch, render_samples

CUBE_MM = 250.0
COUNT = 64
MAX_DIFFERING = 2e-5  # of all pixels; 2e-6 were measured
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def drawn() -> SampleBatch:
    return render_samples(3_000_000, COUNT)


def pool_of(drawn: SampleBatch) -> PackedPool:
    packed = pack_canvas(drawn.canvas, drawn.is_hand).reshape(len(drawn.canvas), CELLS)
    return PackedPool(torch.from_numpy(packed), torch.from_numpy(drawn.joints_mm))


def warp(drawn: SampleBatch, config: AugmentConfig, rows: torch.Tensor) -> DeviceSamples:
    warps = move_warps(draw_warps(config, (3, 1), rows.numpy()), CPU)
    return augment_on_device(pool_of(drawn), rows, warps, CUBE_MM, torch.Generator(CPU))


def test_crops_and_joints_are_those_of_the_numpy_code(drawn: SampleBatch) -> None:
    config = AugmentConfig(depth_noise_mm=0)
    rows = torch.randperm(COUNT, generator=torch.Generator().manual_seed(1))
    picked = rows.numpy()
    hands = RenderedHands(drawn.canvas[picked], drawn.is_hand[picked], drawn.joints_mm[picked])
    wanted = augment(hands, draw_warps(config, (3, 1), picked), CUBE_MM)

    found = warp(drawn, config, rows)

    assert np.isnan(wanted.joints).any() and np.isfinite(wanted.joints).any()
    assert (np.abs(found.depth.numpy() - wanted.depth) > 1e-5).mean() <= MAX_DIFFERING
    assert (found.is_hand.numpy() != wanted.is_hand).mean() <= MAX_DIFFERING
    np.testing.assert_allclose(found.joints.numpy(), wanted.joints, atol=2e-6)


def test_a_packed_canvas_keeps_depth_mask_and_gaps(drawn: SampleBatch) -> None:
    still = AugmentConfig(rotation_deg=0, scale_sigma=0, near_jitter_mm=0, far_jitter_mm=0, depth_noise_mm=0)
    hands = RenderedHands(drawn.canvas, drawn.is_hand, drawn.joints_mm)
    wanted = augment(hands, draw_warps(still, (3, 1), np.arange(COUNT)), CUBE_MM)

    found = warp(drawn, still, torch.arange(COUNT))

    np.testing.assert_array_equal(found.is_hand.numpy(), wanted.is_hand)
    np.testing.assert_allclose(found.depth.numpy(), wanted.depth, atol=1e-6)


def test_noise_is_as_strong_as_asked_and_never_where_nothing_is() -> None:
    flat = np.zeros((1, CANVAS_PX, CANVAS_PX), np.int16)
    flat[0, :, : CANVAS_PX // 2] = 32767
    drawn = SampleBatch(flat, flat == 0, np.zeros((1, 21, 3), np.float32))
    warps = move_warps(draw_warps(AugmentConfig(), (1, 0), np.arange(1)), CPU)
    still = warps._replace(
        angle_rad=torch.zeros(1), scale=torch.ones(1), center_mm=torch.zeros(1, 3), noise_mm=torch.tensor([2.0])
    )

    first, second = (
        augment_on_device(pool_of(drawn), torch.arange(1), still, CUBE_MM, torch.Generator().manual_seed(seed))
        for seed in (4, 5)
    )

    noise_mm = first.depth[0][first.is_hand[0]] * CUBE_MM / 2
    assert noise_mm.std().item() == pytest.approx(2.0, rel=0.05) and abs(noise_mm.mean().item()) < 0.1
    assert (first.depth[0, :, :64] == 1).all() and not first.is_hand[0, :, :64].any()
    assert not torch.equal(first.depth, second.depth)


def test_warps_of_the_device_are_spread_as_those_of_the_host() -> None:
    config = AugmentConfig(rotation_deg=90.0)
    host = draw_warps(config, (1, 0), np.arange(4000))

    device = draw_device_warps(config, 40_000, torch.Generator().manual_seed(1))

    for name in device._fields:
        one, other = getattr(host, name), getattr(device, name).double().numpy()
        assert other.mean() == pytest.approx(one.mean(), abs=0.05 * one.std()), name
        assert other.std() == pytest.approx(one.std(), rel=0.06), name
        assert np.abs(other).max() <= np.abs(one).max() * 1.001 or name != "center_mm"
