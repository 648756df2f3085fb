"""What is counted of the published hands."""

from dataclasses import replace

import numpy as np
import pytest

from handmap.skeleton.body import Bodies, fit_bodies
from handmap.skeleton.memory import BodyState
from handmap.types.arrays import Float32
from handmap.types.values import DepthFrame, Handedness, HandPose, HandRoi
from runtime.distribution import Distribution
from runtime.quality import Quality
from tests.handmap.skeleton.sequences import MODEL, moving_hands, tracked
from tests.support.tiny_bundle import CAMERA, blob_frame


def flat(depth_mm: int) -> DepthFrame:
    """A wall at this distance."""
    return replace(blob_frame(0), depth=np.full((CAMERA.height_px, CAMERA.width_px), depth_mm, np.uint16))


def hand(joints: Float32, track_id: int = 1, side: Handedness = Handedness.RIGHT) -> HandPose:
    roi = HandRoi(joints.mean(axis=0), 250.0, False)
    errors = np.linspace(2, 10, len(joints), dtype=np.float32)
    return HandPose(joints, errors, roi, track_id, side, 0.9, 0.93, True, True, False, 0, 0)


def square(center_mm: tuple[float, float, float] = (0.0, 0.0, 500.0)) -> Float32:
    """Joints on the edge of a square of 80 mm."""
    angle = np.linspace(0, 2 * np.pi, 21)
    offsets = np.stack([40 * np.sign(np.cos(angle)), 40 * np.sign(np.sin(angle)), 0 * angle], axis=1)
    joints: Float32 = (np.array(center_mm) + offsets).astype(np.float32)
    return joints


def test_a_hand_is_counted_in_every_distribution() -> None:
    quality = Quality()

    quality.see(flat(500), [hand(square())], None)

    (seen,) = quality.hands
    assert (seen.track_id, seen.side, seen.confidence, seen.is_valid) == (1, "right", 0.93, True)
    assert seen.expected_error_mm == pytest.approx(6.0)
    assert (seen.distance_mm, seen.joints_in_image, seen.missing_depth, seen.residual_mm) == (500.0, 21, 0.0, None)
    counts = quality.counts
    assert (counts.frames_with_hand, counts.left, counts.right, counts.valid) == (1, 0, 1, 1)
    assert (counts.joints, counts.joints_in_image) == (21, 21)
    assert quality.expected_error_m.total == pytest.approx(0.006)
    assert quality.distance_m.counts[quality.distance_m.bounds.index(0.5)] == 1
    assert quality.missing_depth.counts[0] == 1
    assert sum(quality.residual_m.counts) == 0


def test_a_frame_without_hands_adds_nothing() -> None:
    quality = Quality()
    quality.see(flat(500), [hand(square())], None)

    quality.see(flat(500), [], None)

    assert quality.hands == ()
    assert (quality.counts.frames_with_hand, sum(quality.confidence.counts)) == (1, 1)


def test_depth_is_missing_where_the_hand_is_and_not_elsewhere() -> None:
    frame = flat(500)
    frame.depth[:, : CAMERA.width_px // 2] = 0
    quality = Quality()

    quality.see(
        frame, [hand(square()), hand(square((100.0, 0.0, 500.0)), 2), hand(square((-100.0, 0.0, 500.0)), 3)], None
    )

    assert [seen.missing_depth for seen in quality.hands] == [pytest.approx(0.5, abs=0.1), 0.0, 1.0]


def test_joints_outside_the_image_or_behind_the_camera_are_not_in_it() -> None:
    quality = Quality()
    at_edge = square((-500 * CAMERA.cx_px / CAMERA.fx_px, 0.0, 500.0))

    quality.see(flat(500), [hand(at_edge), hand(square((0.0, 0.0, -500.0)), 2)], None)

    assert [seen.joints_in_image for seen in quality.hands] == [int((at_edge[:, 0] > -500 * 320 / 475.0).sum()), 0]
    assert quality.hands[1].missing_depth is None
    assert quality.counts.joints == 42


def test_tracks_that_start_end_and_return_are_told_apart() -> None:
    quality, frame, joints = Quality(), flat(500), square()

    for ids in ([1], [1, 2], [1], [1, 2], [3], []):
        quality.see(frame, [hand(joints, track_id) for track_id in ids], None)

    counts = quality.counts
    assert (counts.tracks_started, counts.tracks_lost, counts.tracks_found_again) == (3, 4, 1)


def test_hands_are_lost_with_the_camera() -> None:
    quality = Quality()
    quality.see(flat(500), [hand(square())], None)

    quality.forget()
    quality.forget()

    assert (quality.counts.tracks_lost, quality.hands) == (1, ())


def test_a_change_of_side_counts_for_the_same_track_only() -> None:
    quality, frame, joints = Quality(), flat(500), square()
    left, right = Handedness.LEFT, Handedness.RIGHT

    quality.see(frame, [hand(joints, 1, left), hand(joints, 2, right)], None)
    quality.see(frame, [hand(joints, 2, right), hand(joints, 3, left)], None)
    assert quality.counts.side_flips == 0

    quality.see(frame, [hand(joints, 1, right), hand(joints, 2, left)], None)

    assert quality.counts.side_flips == 2


def test_many_tracks_use_no_more_memory() -> None:
    quality, frame, joints = Quality(), flat(500), square()

    for track_id in range(1, 200):
        quality.see(frame, [hand(joints, track_id)], None)

    assert len(quality._sides) <= 8


def fitted(noise_mm: float) -> Bodies:
    """The fit of one natural hand whose joints were measured with this error."""
    rng = np.random.default_rng(1)
    true = moving_hands(np.zeros((1, MODEL.shape_count)), 1, rng)[0].joints_mm[0]
    measured = true + rng.normal(0, noise_mm / np.sqrt(3), (21, 3))
    bodies, _ = fit_bodies([tracked(measured, np.full(21, 6.0), 0)], BodyState())
    assert bodies is not None
    return bodies


def test_the_residual_is_how_far_joints_are_from_a_hand() -> None:
    near, far = fitted(0.0), fitted(20.0)

    assert float(near.residual_mm[0]) < 2
    assert 8 < float(far.residual_mm[0]) < 20  # some of the noise looks like another pose

    quality = Quality()
    quality.see(flat(500), [hand(square())], far)
    assert quality.residual_m.total == pytest.approx(float(far.residual_mm[0]) / 1e3)


def test_bounds_belong_to_the_bucket_below_them() -> None:
    values = Distribution((1.0, 2.0))

    for value in (0.5, 1.0, 1.5, 2.0, 9.0):
        values.add(value)

    assert values.counts == (2, 2, 1)
    assert values.total == 14.0
