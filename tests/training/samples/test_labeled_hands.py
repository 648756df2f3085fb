"""Labeled frames as training samples: the runtime's own crops, joints that may lack a label, and files that follow the data."""

import errno
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handmap.geometry.crop import crop_hand
from handmap.recording import png_folder
from handmap.recording.datasets import LabeledCube, LabeledFrame
from handmap.recording.recorded_set import RecordedSet
from handmap.recording.writer import RecordingWriter
from handmap.types.arrays import Float32
from handmap.types.errors import DatasetError, RecordingError
from handmap.types.joints import HAND21
from handmap.types.values import Handedness
from training.samples.augment import AugmentConfig, augment, draw_warps
from training.samples.disk_array import create_array
from training.samples.labeled_hands import TRUSTED_MM, cut_out, open_labeled_hands
from training.samples.named_data import fingerprint
from training.samples.sample_cache import RenderedHands
from training.synthesis.canvas import EMPTY
from training.synthesis.motion import synthesize_frames

CUBE_MM = 250.0
STILL = AugmentConfig(rotation_deg=0, scale_sigma=0, near_jitter_mm=0, far_jitter_mm=0, depth_noise_mm=0)


@pytest.fixture(scope="module")
def moving() -> list[LabeledFrame]:
    return list(synthesize_frames(5, 6, 3))


def still_crop(labeled: LabeledFrame) -> tuple[Float32, Float32]:
    """The network's input and joints for a labeled frame, without any warp."""
    hand = cut_out(labeled)
    lot = RenderedHands(hand.canvas[None], hand.is_hand[None], hand.joints_mm[None])
    samples = augment(lot, draw_warps(STILL, (0, 0), np.arange(1)), CUBE_MM)
    return samples.depth[0], samples.joints[0]


@pytest.mark.parametrize("handedness", [Handedness.RIGHT, Handedness.LEFT])
def test_a_labeled_hand_is_cut_out_as_the_runtime_cuts_it(moving: list[LabeledFrame], handedness: Handedness) -> None:
    for labeled in (replace(one, handedness=handedness) for one in moving):
        depth, joints = still_crop(labeled)

        xyz_mm = labeled.xyz_camera_mm
        center = (xyz_mm.min(axis=0) + xyz_mm.max(axis=0)) / 2
        crop = crop_hand(np, labeled.frame, center, CUBE_MM, handedness is Handedness.LEFT)
        # The canvas has steps of 1/64 mm, and its pitch is rounded otherwise: a point on a border may fall into the next cell.
        is_off = np.abs(depth - crop.depth) > 0.51 / 64 / (CUBE_MM / 2)
        assert is_off.sum() <= 3 and (depth < 1).sum() > 1000
        wanted = (xyz_mm - center) / (CUBE_MM / 2) * ([-1, 1, 1] if handedness is Handedness.LEFT else [1, 1, 1])
        np.testing.assert_allclose(joints, wanted, atol=1e-5)


def test_a_published_cube_places_the_canvas(moving: list[LabeledFrame]) -> None:
    center = np.array([10.0, -5, 420], np.float32)

    hand = cut_out(replace(moving[0], cube=LabeledCube(center, 300.0)))

    np.testing.assert_allclose(hand.joints_mm, moving[0].xyz_camera_mm - center, atol=1e-4)


def test_joints_count_less_the_more_they_are_in_doubt(moving: list[LabeledFrame]) -> None:
    xyz_mm = moving[0].xyz_camera_mm.copy()
    xyz_mm[[3, 8]] = np.nan
    doubt_mm = np.zeros(21, np.float32)
    doubt_mm[5], doubt_mm[6], doubt_mm[7] = TRUSTED_MM, 2 * TRUSTED_MM, np.nan

    exact, doubted = cut_out(replace(moving[0], xyz_camera_mm=xyz_mm)), cut_out(
        replace(moving[0], xyz_camera_mm=xyz_mm, doubt_mm=doubt_mm)
    )  # fmt: skip

    assert exact.weight.tolist() == [0.0 if joint in (3, 8) else 1.0 for joint in range(21)]
    assert doubted.weight[5:8].tolist() == pytest.approx([0.5, 0.2, 0.0])
    assert np.isnan(doubted.joints_mm[[3, 8]]).all() and np.isfinite(np.delete(doubted.joints_mm, [3, 8], 0)).all()


def test_the_hand_is_found_by_its_bones_and_nothing_else(moving: list[LabeledFrame]) -> None:
    frame = moving[0].frame
    depth = frame.depth.copy()
    behind_mm = round(float(moving[0].xyz_camera_mm[:, 2].max())) + 90
    depth[depth == 0] = behind_mm  # a wall within the cube

    hand = cut_out(replace(moving[0], frame=replace(frame, depth=depth)))
    alone = cut_out(moving[0])

    is_skin = alone.canvas != EMPTY
    rows = slice(0, 100)  # the forearm, below, is only guessed at
    assert (hand.is_hand & is_skin)[rows].sum() > 0.97 * is_skin[rows].sum()
    assert not (hand.is_hand & ~is_skin)[rows].any()


def write(path: Path, frames: list[LabeledFrame]) -> Path:
    with RecordingWriter(path, frames[0].frame.intrinsics, 1.0) as writer:
        for one in frames:
            writer.write_labeled(one)
    return path


def test_what_was_cut_out_is_kept_until_the_data_changes(moving: list[LabeledFrame], tmp_path: Path) -> None:
    data, cache = write(tmp_path / "r", moving), tmp_path / "cache"
    hands = open_labeled_hands(str(data), cache)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}

    again = open_labeled_hands(str(data), cache)

    assert len(hands) == len(again) == len(moving)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before
    read = hands.read(np.array([1, 4]))
    assert read.weight is not None and read.weight.shape == (2, 21)
    np.testing.assert_array_equal(read.canvas[1], cut_out(moving[4]).canvas)
    name = fingerprint(str(data), "1")
    (data / "more").write_bytes(b"x")
    assert fingerprint(str(data), "1") != name
    (data / "more").unlink()
    assert fingerprint(str(data), "1") == name


def test_frames_without_a_label_are_left_out(moving: list[LabeledFrame], tmp_path: Path) -> None:
    nothing = np.full((len(HAND21), 3), np.nan, np.float32)
    frames = [moving[0], replace(moving[1], xyz_camera_mm=nothing), moving[2]]

    hands = open_labeled_hands(str(write(tmp_path / "r", frames)), tmp_path / "cache")

    assert len(hands) == len(hands.weight) == 2
    np.testing.assert_array_equal(hands.read(np.array([1])).canvas[0], cut_out(moving[2]).canvas)
    with pytest.raises(DatasetError, match="found no frame with a labeled joint, of 1"):
        open_labeled_hands(str(write(tmp_path / "s", frames[1:2])), tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*tmp*"))


def test_processes_that_begin_together_both_have_the_hands(moving: list[LabeledFrame], tmp_path: Path) -> None:
    data, cache = write(tmp_path / "r", moving), tmp_path / "cache"

    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        counts = list(pool.map(count_hands, [str(data)] * 2, [cache] * 2))

    assert counts == [len(moving)] * 2 and len(list(cache.iterdir())) == 1


def count_hands(data: str, cache: Path) -> int:
    return len(open_labeled_hands(data, cache))


def test_a_recording_without_labels_is_refused(moving: list[LabeledFrame], tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r", moving[0].frame.intrinsics, 1.0) as writer:
        writer.write(moving[0].frame)

    with pytest.raises(RecordingError, match="handmap label"):
        open_labeled_hands(str(tmp_path / "r"), tmp_path / "cache")


@pytest.mark.parametrize("options", ["", ",depth_unit_mm=1"])
def test_the_intrinsics_beside_a_folder_of_images_are_part_of_its_data(tmp_path: Path, options: str) -> None:
    (tmp_path / "depth").mkdir()
    (tmp_path / "depth" / "0.png").write_bytes(b"x")
    data, beside = f"recording:{tmp_path / 'depth'}{options}", tmp_path / "intrinsics.yaml"
    assert beside.name == png_folder.INTRINSICS_FILE
    beside.write_text("fx_px: 500")
    name = fingerprint(data, "1")

    beside.write_text("fx_px: 600.0")

    assert fingerprint(data, "1") != name


def test_files_behind_linked_folders_are_part_of_the_data(tmp_path: Path) -> None:
    data, first, second = (tmp_path / name for name in ("data", "first", "second"))
    for folder in (data, first, second):
        folder.mkdir()
    (data / "loop").symlink_to(data)
    (data / "absent").symlink_to(tmp_path / "nowhere")
    (data / "link").symlink_to(first)
    (data / "twin").symlink_to(first)
    empty = fingerprint(str(data), "1")

    (first / "0.png").write_bytes(b"x")
    filled = fingerprint(str(data), "1")
    (data / "twin").unlink()
    (data / "twin").symlink_to(data)

    assert len({empty, filled, fingerprint(str(data), "1")}) == 3


@pytest.mark.parametrize("kind", ["recording:", ""])
def test_a_path_with_a_comma_is_one_path(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "a,b" / "c"
    folder.mkdir(parents=True)
    data = f"{kind}{folder},topic=/depth"
    name = fingerprint(data, "1")

    (folder / "more").write_bytes(b"x")

    assert fingerprint(data, "1") != name


def test_a_full_disk_is_told_in_a_sentence_and_leaves_nothing(
    moving: list[LabeledFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    data = write(tmp_path / "r", moving)
    monkeypatch.setattr(os, "posix_fallocate", fail)

    with pytest.raises(DatasetError, match=r"No space left on device.; free some disk space"):
        open_labeled_hands(str(data), tmp_path / "cache")

    assert not list((tmp_path / "cache").iterdir())


def test_the_room_of_an_array_is_reserved(tmp_path: Path) -> None:
    array = create_array(tmp_path / "a.npy", np.int16, (1000, 1000))

    array[-1, -1] = 7

    array.flush()
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= array.nbytes
    assert np.load(tmp_path / "a.npy").sum() == 7


def test_what_cannot_be_read_is_not_called_unwritable(
    moving: list[LabeledFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbid(*_: object) -> Iterator[LabeledFrame]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/data/r/7.png")

    data = write(tmp_path / "r", moving)
    monkeypatch.setattr(RecordedSet, "__iter__", forbid)

    with pytest.raises(DatasetError, match=r"'/data/r/7.png' cannot be read \(Permission denied\); correct its perm"):
        open_labeled_hands(str(data), tmp_path / "cache")


@pytest.mark.parametrize("data", ["", " ", "recording:", "nyu:", "recording:,topic=/depth"])
def test_a_name_without_a_path_is_refused(data: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="found no path in its name"):
        open_labeled_hands(data, tmp_path / "cache")
