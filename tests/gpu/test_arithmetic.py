"""What `handmap` computes on NumPy it computes on CuPy: crop, min-pooling, decoding."""

from types import ModuleType

import numpy as np
import pytest

from handmap.bundle.confidence import read_signals
from handmap.geometry.decode_joints import decode_joints
from handmap.tracking.region_proposals import pool, propose_regions
from handmap.types.values import HandRoi, NormalizedJoints
from tests.gpu.parity import ALLOWED, cupy_crops, differing_share, on_gpu
from tests.support.depth_frames import scenes, two_hands

pytestmark = pytest.mark.gpu


def test_crops_differ_in_at_most_one_pixel_of_ten_thousand(cupy: ModuleType) -> None:
    share = differing_share(cupy_crops(cupy), list(scenes(120, seed=1)))

    assert share <= ALLOWED


def test_pooled_frames_and_proposals_are_the_same(cupy: ModuleType) -> None:
    for scene in [two_hands(), *scenes(24, seed=2)]:
        frame = on_gpu(cupy, scene.frame)

        found, wanted = pool(cupy, frame, (150.0, 1000.0)), pool(np, scene.frame, (150.0, 1000.0))
        max_proposals = propose_regions(cupy, frame, (150.0, 1000.0), 6)

        np.testing.assert_array_equal(found.xyz_mm, wanted.xyz_mm)
        np.testing.assert_array_equal(found.is_filled, wanted.is_filled)
        centers = [proposal.center_mm.tolist() for proposal in max_proposals]
        assert centers == [one.center_mm.tolist() for one in propose_regions(np, scene.frame, (150.0, 1000.0), 6)]


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_decoded_joints_are_the_same(cupy: ModuleType, is_mirrored: bool) -> None:
    rng = np.random.default_rng(3)
    xyz = rng.uniform(-1.2, 1.2, (21, 3)).astype(np.float32)
    guidance = rng.uniform(0, 1, (21, 32, 32)).astype(np.float32)
    spread = rng.uniform(0, 0.5, (21, 3)).astype(np.float32)
    center = np.array([31, -52, 433], np.float32)
    on_host, on_device = (
        (xp, NormalizedJoints(xp.asarray(xyz), xp.asarray(guidance), 1.5, xp.asarray(spread)), HandRoi(center, 250.0, is_mirrored))
        for xp in (np, cupy)
    )  # fmt: skip

    np.testing.assert_allclose(decode_joints(*on_device), decode_joints(*on_host), atol=1e-3)  # mm
    found, wanted = (read_signals(xp, joints, 250.0) for xp, joints, _ in (on_device, on_host))
    np.testing.assert_array_equal(found.landed, wanted.landed)
    np.testing.assert_array_equal(found.peak, wanted.peak)
    np.testing.assert_allclose(found.log_spread, wanted.log_spread, atol=1e-5)
    assert found.right_logit == wanted.right_logit
