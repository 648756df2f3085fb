"""Training samples, the fixed validation set, and smooth motion."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import training.datasets.synthetic_set
from handmap.geometry.crop import crop_hand
from handmap.recording.datasets import LabeledFrame
from handmap.types.errors import DatasetError
from handmap.types.intrinsics import project
from handmap.types.joints import HAND21
from handmap.types.values import Handedness
from training.datasets.synthetic_set import SETS, label_digest, open_synthetic
from training.hand.hand_model import load_hand_asset
from training.synthesis.canvas import CANVAS_MM, CANVAS_PX, CANVAS_UNIT_MM, EMPTY, print_canvas
from training.synthesis.motion import synthesize_frames
from training.synthesis.scene import FULL_IMAGE, center_of, render_scene
from training.synthesis.synthetic import SampleBatch, render_samples

SPEC = json.loads((Path(training.datasets.synthetic_set.__file__).parent / "assets" / "synthetic_val.json").read_text())
CROP_MARGIN_PX = (CANVAS_PX - 128) // 2


def first_frames(count: int) -> list[LabeledFrame]:
    """The first frames of the validation set."""
    return list(itertools.islice(iter(SETS["val"]), count))


def canvas_of(labeled: LabeledFrame, is_hand: NDArray[np.bool_]) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """The canvas about the label's center of a whole frame."""
    intrinsics = labeled.frame.intrinsics
    center = center_of(labeled.xyz_camera_mm.astype(np.float64))
    figures = np.array([intrinsics.fx_px, intrinsics.fy_px, intrinsics.cx_px, intrinsics.cy_px])
    return print_canvas(labeled.frame.depth, is_hand, labeled.frame.depth_unit_mm, figures, center)


def hands_of(batch: SampleBatch) -> NDArray[np.bool_]:
    """Which samples (N,) show a hand."""
    has_hand: NDArray[np.bool_] = np.all(np.isfinite(batch.joints_mm), axis=(1, 2))
    return has_hand


def test_samples_keep_the_contract() -> None:
    batch = render_samples(100, 12)

    assert batch.canvas.shape == batch.is_hand.shape == (12, 160, 160)
    assert batch.canvas.dtype == np.int16 and batch.is_hand.dtype == np.bool_
    assert batch.joints_mm.shape == (12, 21, 3) and batch.joints_mm.dtype == np.float32
    has_hand = hands_of(batch)
    middle_mm = batch.joints_mm[has_hand].min(axis=1) + batch.joints_mm[has_hand].max(axis=1)
    assert middle_mm == pytest.approx(0, abs=1e-3)
    filled = batch.canvas[batch.canvas != EMPTY]
    assert np.abs(filled.astype(int)).max() <= CANVAS_MM / 2 / CANVAS_UNIT_MM
    assert not np.any(batch.is_hand & (batch.canvas == EMPTY))
    assert batch.is_hand[has_hand].sum(axis=(1, 2)).min() > 200


def test_some_samples_show_things_that_are_no_hand() -> None:
    batch = render_samples(0, 200)

    has_hand = hands_of(batch)
    assert 0.08 < 1 - has_hand.mean() < 0.28
    assert np.isnan(batch.joints_mm[~has_hand]).all()
    assert not batch.is_hand[~has_hand].any()
    assert (batch.canvas[~has_hand] != EMPTY).sum(axis=(1, 2)).mean() > 1200


def test_a_sample_depends_on_its_own_seed_alone() -> None:
    whole, part = render_samples(40, 6), render_samples(43, 2)

    assert np.array_equal(whole.canvas[3:5], part.canvas)
    assert np.array_equal(whole.is_hand[3:5], part.is_hand)
    np.testing.assert_array_equal(whole.joints_mm[3:5], part.joints_mm)
    assert not np.array_equal(whole.canvas[0], whole.canvas[1])


def test_canvas_shows_the_hand_where_the_joints_are() -> None:
    batch = render_samples(500, 40)
    has_hand = hands_of(batch)
    joints_mm, is_hand = batch.joints_mm[has_hand], batch.is_hand[has_hand]

    cells = np.floor(joints_mm[..., :2] / CANVAS_MM * CANVAS_PX + CANVAS_PX / 2).astype(int)
    seen = is_hand[np.arange(len(cells))[:, None], cells[..., 1], cells[..., 0]]

    # Noise, clutter, company, holes, and hands over the border of the image take some.
    assert seen.mean() > 0.78


@pytest.mark.parametrize("index", range(6))
def test_canvas_is_the_crop_of_the_runtime(index: int) -> None:
    labeled = first_frames(index + 1)[index]
    canvas, _ = canvas_of(labeled, np.zeros(labeled.frame.depth.shape, np.bool_))
    center = center_of(labeled.xyz_camera_mm.astype(np.float64))

    crop = crop_hand(np, labeled.frame, center, 250.0).depth

    inner = canvas[CROP_MARGIN_PX:-CROP_MARGIN_PX, CROP_MARGIN_PX:-CROP_MARGIN_PX].astype(np.float64)
    from_canvas = np.where(inner == EMPTY, 1.0, np.clip(inner * CANVAS_UNIT_MM / 125, -1, 1))
    in_cube = np.abs(inner * CANVAS_UNIT_MM) < 124  # the crop drops what lies before its cube, and so closes other gaps
    same = np.abs(from_canvas - crop) < 0.02 / 125
    assert np.mean(same | ~in_cube & (inner != EMPTY)) > 0.995


def test_gaps_one_pixel_wide_take_the_farther_neighbor() -> None:
    raw = np.array([[400, 0, 410, 0, 0, 420]], np.uint16)
    pixels_per_mm = CANVAS_PX / CANVAS_MM
    # At 400 mm one pixel of this camera is one cell of the canvas; columns 410 and 420 drift by less than one.
    intrinsics = np.array([400 * pixels_per_mm, 400 * pixels_per_mm, 0.0, 0.0])

    canvas, _ = print_canvas(raw, np.ones_like(raw, np.bool_), 1.0, intrinsics, np.array([0.5, 0.5, 400.0]))

    row = canvas[79, 79:86]
    assert [int(value) for value in row[:3]] == [0, 640, 640]
    assert row[3] == EMPTY


def test_the_validation_set_matches_its_specification() -> None:
    data = open_synthetic("val")

    assert (data.name, len(data)) == (SPEC["name"], SPEC["frames"])
    assert data.joint_names == HAND21
    assert label_digest(SETS["val"]) == SPEC["labels_sha256"], "synthetic:val is fixed: make a val2 beside it instead"


# Pixels with depth and their mean in mm, of frames as they were when the sets were fixed.
FIXED_DEPTH = {
    "val": [(9423, 543.596), (302587, 452.122), (302212, 772.757)],
    "calib": [(22770, 378.674), (38020, 221.052), (40286, 246.621)],
}


@pytest.mark.parametrize("name", FIXED_DEPTH)
def test_depth_of_fixed_sets_never_changes(name: str) -> None:
    depths = [labeled.frame.depth for labeled in itertools.islice(iter(SETS[name]), 3)]

    for depth, (count, mean_mm) in zip(depths, FIXED_DEPTH[name], strict=True):
        # A processor's last bit may move a pixel over a threshold.
        assert abs(int((depth > 0).sum()) - count) <= 3
        assert depth[depth > 0].mean() == pytest.approx(mean_mm, abs=0.01)


def test_validation_scenes_lie_within_their_ranges() -> None:
    scenes = list(SETS["val"].scenes())

    z = np.array([center_of(scene.joints_mm)[2] for scene in scenes])
    focal = np.array([scene.intrinsics.fx_px for scene in scenes])
    uv = np.stack([project(np, scene.joints_mm, scene.intrinsics) for scene in scenes])

    assert z.min() > 245 and z.max() < 720  # mm
    assert np.all(np.abs(focal[:, None] / SPEC["focal_px"] - 1).min(axis=1) <= 0.05)
    assert uv.min() > 0 and uv[..., 0].max() < 640 and uv[..., 1].max() < 480
    assert np.mean([scene.plane is not None for scene in scenes]) == pytest.approx(0.15, abs=0.025)
    assert np.mean([scene.ellipsoid is not None for scene in scenes]) == pytest.approx(0.15, abs=0.025)


def test_labels_lie_in_the_silhouette_and_behind_the_surface() -> None:
    asset = load_hand_asset()

    inside, behind = [], []
    for scene in itertools.islice(SETS["val"].scenes(), 60):
        z_mm, is_hand = render_scene(asset, scene, FULL_IMAGE)
        column, row = np.rint(project(np, scene.joints_mm, scene.intrinsics)).astype(int).T
        inside.append(is_hand[row, column] | (scene.ellipsoid is not None))
        behind.append(z_mm[row, column] < scene.joints_mm[:, 2] + 3)

    assert np.mean(inside) > 0.985  # a tip seen end on may fall beside a thin outline
    assert np.mean(behind) > 0.985


def test_validation_frames_are_repeatable() -> None:
    for first, second in zip(first_frames(5), first_frames(5), strict=True):
        assert np.array_equal(first.frame.depth, second.frame.depth)
        assert np.array_equal(first.xyz_camera_mm, second.xyz_camera_mm)
        assert np.array_equal(first.is_visible, second.is_visible)
        assert first.handedness is Handedness.RIGHT


def test_occluded_joints_are_not_visible() -> None:
    frames = first_frames(80)

    share = np.mean([labeled.is_visible for labeled in frames])

    assert 0.5 < share < 0.9


def test_an_unknown_set_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(DatasetError, match="calib, hard, tune, val"):
        open_synthetic("tset")


def test_motion_is_smooth_and_ends_as_it_begins() -> None:
    frames = list(synthesize_frames(seed=11, frames=60, fps=30.0))

    joints = np.stack([labeled.xyz_camera_mm for labeled in frames])
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=2) * 30  # mm/s
    closing = np.linalg.norm(joints[0] - joints[-1], axis=1) * 30
    assert speed.max() < 1200 and closing.max() < 1200
    assert speed.mean() > 30
    assert [labeled.frame.frame_number for labeled in frames] == list(range(60))
    assert frames[30].frame.capture_ns == 1_000_000_000


@pytest.mark.parametrize("read", [lambda frame: frame.frame.depth, lambda frame: frame.xyz_camera_mm])
def test_motion_of_one_seed_is_repeatable(read: Callable[[LabeledFrame], NDArray[np.generic]]) -> None:
    first, second = (list(synthesize_frames(4, 3, 30.0)) for _ in range(2))

    assert all(np.array_equal(read(a), read(b)) for a, b in zip(first, second, strict=True))
    assert not np.array_equal(first[0].xyz_camera_mm, next(synthesize_frames(5, 3, 30.0)).xyz_camera_mm)
