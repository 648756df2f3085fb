"""Labeled frames as samples of the palm network: the runtime's own picture, the hand's place in it, and what is left out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from handmap.recording.datasets import LabeledFrame, label_center
from handmap.tracking.palm_detector import decode_detections, encode_depth
from handmap.types.errors import DatasetError
from handmap.types.joints import HAND21
from handmap.types.values import Handedness
from tests.training.samples.test_labeled_hands import write
from training.samples.labeled_palms import DOUBT_MM, open_labeled_palms
from training.synthesis.motion import synthesize_frames
from training.trainer.palm_targets import SEEN_JOINTS, make_targets


@pytest.fixture(scope="module")
def moving() -> list[LabeledFrame]:
    return list(synthesize_frames(5, 6, 3))


def test_a_hand_is_where_the_runtime_would_look_for_it(moving: list[LabeledFrame], tmp_path: Path) -> None:
    left = [replace(one, handedness=Handedness.LEFT) for one in moving[3:]]

    palms = open_labeled_palms(str(write(tmp_path / "r", [*moving[:3], *left])), tmp_path / "cache")

    targets = make_targets(palms.hands, palms.is_right, palms.seen_joints)
    chance = torch.logit(targets.bump.clamp(1e-4, 1 - 1e-4))
    answers = torch.stack([chance, targets.size, targets.side * 8 - 4], dim=1).numpy()
    for number, labeled in enumerate(moving):
        view = encode_depth(np, labeled.frame)
        np.testing.assert_array_equal(palms.pictures[number], view.depth_small.astype(np.float16))
        (found,) = decode_detections(answers[number], view.intrinsics, 0.3, 4)
        center_mm = label_center(labeled.xyz_camera_mm)
        assert found.center_mm[2] == pytest.approx(center_mm[2], rel=1e-4)
        assert np.linalg.norm(found.center_mm - center_mm) < 20  # a cell
        assert (found.right_probability > 0.5) == (number < 3)
    assert (palms.seen_joints[:, 0] >= SEEN_JOINTS).all() and not palms.seen_joints[:, 1].any()


def test_a_hand_behind_something_and_one_outside_the_image_are_not_seen(
    moving: list[LabeledFrame], tmp_path: Path
) -> None:
    frame = moving[0].frame
    hidden = replace(moving[0], frame=replace(frame, depth=np.full_like(frame.depth, 150)))
    outside = replace(moving[0], xyz_camera_mm=moving[0].xyz_camera_mm + np.array([5000, 0, 0], np.float32))
    unmeasured = replace(moving[0], frame=replace(frame, depth=np.zeros_like(frame.depth)))

    palms = open_labeled_palms(str(write(tmp_path / "r", [hidden, outside, unmeasured])), tmp_path / "cache")

    assert palms.seen_joints[:, 0].tolist() == [0, 0, len(HAND21)]


def test_hands_without_a_label_or_in_much_doubt_are_left_out(moving: list[LabeledFrame], tmp_path: Path) -> None:
    unlabeled = replace(
        moving[1], xyz_camera_mm=np.full((21, 3), np.nan, np.float32), is_visible=np.zeros(21, bool), doubt_mm=None
    )
    sure, unsure = (
        replace(moving[number], doubt_mm=np.full(21, doubt_mm, np.float32))
        for number, doubt_mm in ((0, DOUBT_MM - 1), (2, DOUBT_MM + 1))
    )

    palms = open_labeled_palms(str(write(tmp_path / "r", [unlabeled, unsure, sure])), tmp_path / "cache")

    assert len(palms) == len(palms.hands) == 1
    np.testing.assert_array_equal(palms.pictures[0], encode_depth(np, sure.frame).depth_small.astype(np.float16))
    with pytest.raises(DatasetError, match="sure to 20 mm"):
        open_labeled_palms(str(write(tmp_path / "s", [unsure])), tmp_path / "cache")


def test_pictures_are_kept_until_the_data_change(moving: list[LabeledFrame], tmp_path: Path) -> None:
    data, cache = str(write(tmp_path / "r", moving)), tmp_path / "cache"
    open_labeled_palms(data, cache)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}

    open_labeled_palms(data, cache)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before

    (tmp_path / "r" / "more").write_bytes(b"x")
    open_labeled_palms(data, cache)
    assert len(list(cache.iterdir())) == 2
