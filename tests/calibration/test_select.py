"""What goes into a calibration set, what is rejected, and that selection is deterministic."""

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from calibration.calibration_set import read_set
from calibration.candidates import Candidate, find_candidates
from calibration.detector_inputs import join_inputs
from calibration.frame_source import open_source
from calibration.select import SelectRequest, complaints, coverage, select_set, spread_out
from handmap.bundle.manifest import read_bundle
from handmap.engines.factory import EngineConfig, open_engines
from handmap.recording.reader import open_recording
from handmap.recording.writer import RecordingWriter
from handmap.system.timing import StageClock
from handmap.tracking.palm_detector import encode_depth
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import TrackingConfig, tracker_settings
from handmap.types.errors import ConfigError, DatasetError, RecordingError
from handmap.types.values import DepthFrame
from tests.calibration.conftest import FRAMES, INTRINSICS, write_disc, write_set_without_pictures
from tests.support.realsense import write_sdk_recording


def candidate(random: np.random.Generator, bins: dict[str, int]) -> Candidate:
    """A smooth bump at a place of its own in the crop."""
    v, u = np.mgrid[:128, :128]
    row, column = random.uniform(30, 98, 2)
    depth = np.where((v - row) ** 2 + (u - column) ** 2 < 900, (u - column) / 60, 1).astype(np.float32)
    return Candidate(depth, np.full((21, 3), np.nan, np.float32), join_inputs([]), 0, 0, "", 400.0, bins)


def test_crops_match_the_daemon(bundle_path: Path, recordings: list[Path]) -> None:
    bundle = read_bundle(bundle_path)
    engines = open_engines(bundle, EngineConfig(), batch=1)
    settings = tracker_settings(bundle, TrackingConfig())
    frame = next(iter(open_recording(recordings[0])))
    (pose, *_), _ = track_hands(frame, TrackerState(), engines, settings, StageClock())

    found = find_candidates(open_source(str(recordings[0])), 0, engines, settings, FRAMES)

    (first,) = found.candidates
    joints_mm = engines.hand.infer(first.depth[None, None]).joints[0] * 125
    raw_mm = pose.raw_xyz_camera_mm
    assert raw_mm is not None
    np.testing.assert_allclose(joints_mm - joints_mm.mean(axis=0), raw_mm - raw_mm.mean(axis=0), atol=0.01)


def test_a_set_reads_back(set_path: Path) -> None:
    found = read_set(set_path)

    assert found.crops.depth.shape == (64, 1, 128, 128) and not found.crops.has_truth
    assert sum(found.manifest.coverage["distance"].values()) == len(found.manifest.items) == 64


def test_detector_inputs_of_the_crops_are_stored(set_path: Path) -> None:
    found = read_set(set_path)

    frames = {index: list(open_recording(Path(one.name))) for index, one in enumerate(found.manifest.sources)}
    assert len(found.pictures) == len(found.manifest.items) and len(found.held_out_pictures) == 16
    for index, item in enumerate(found.manifest.items):
        view = encode_depth(np, frames[item.source][item.frame])
        np.testing.assert_array_equal(found.pictures.depth_small[index, 0], view.depth_small)
        assert found.pictures.intrinsics_of(index) == view.intrinsics
    assert not found.pictures.has_truth


def test_an_older_set_without_detector_inputs_can_be_read(set_path: Path, tmp_path: Path) -> None:
    write_set_without_pictures(set_path, tmp_path)

    found = read_set(tmp_path)

    assert len(found.crops.depth) == 64 and len(found.pictures) == len(found.held_out_pictures) == 0


def test_whole_recordings_are_held_out(set_path: Path) -> None:
    found = read_set(set_path)

    held = {index for index, source in enumerate(found.manifest.sources) if source.is_held_out}
    assert len(held) == 1
    assert not held & {item.source for item in found.manifest.items}
    assert len(found.held_out.depth) == 16


def test_a_recording_can_be_held_out_by_name(request_all: SelectRequest, tmp_path: Path) -> None:
    chosen = dataclasses.replace(
        request_all, frame_sources=request_all.frame_sources[:2], held_out=request_all.frame_sources[3:], frames=16
    )

    manifest = select_set(chosen, tmp_path / "set")

    assert [(source.name, source.is_held_out) for source in manifest.sources] == [
        (chosen.frame_sources[0], False), (chosen.frame_sources[1], False), (chosen.held_out[0], True),
    ]  # fmt: skip


def test_selection_depends_only_on_request_and_seed(request_all: SelectRequest, set_path: Path, tmp_path: Path) -> None:
    select_set(request_all, tmp_path / "again")
    select_set(dataclasses.replace(request_all, seed=6), tmp_path / "other")

    for file in set_path.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes(), file.name
    assert (tmp_path / "other" / "crops.npz").read_bytes() != (set_path / "crops.npz").read_bytes()


def test_a_small_set_is_rejected_unless_forced(request_all: SelectRequest, set_path: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"64 useful frames, wanted at least 500.*--force"):
        select_set(dataclasses.replace(request_all, is_forced=False), tmp_path / "set")

    assert not (tmp_path / "set").exists()
    assert read_set(set_path).manifest.forced == ("64 useful frames, wanted at least 500",)


def test_recording_without_a_hand_is_named_even_if_forced(bundle_path: Path, tmp_path: Path) -> None:
    wall = DepthFrame(np.full((INTRINSICS.height_px, INTRINSICS.width_px), 5000, np.uint16), 1.0, INTRINSICS, 0, 0)
    with RecordingWriter(tmp_path / "wall", INTRINSICS, 1.0) as writer:
        writer.write(wall)
    request = SelectRequest(bundle_path, (str(tmp_path / "wall"),), (), 512, 0, "right", True)

    with pytest.raises(DatasetError, match=r"no hand was found.*depth is from 5000 to 5000 mm.*--depth-unit-mm"):
        select_set(request, tmp_path / "set")


def test_path_with_a_colon_is_a_path() -> None:
    with pytest.raises(RecordingError, match="nothing is there"):
        open_source("/data/2026-01-01T10:00/bag")


def test_noise_is_rejected(bundle_path: Path, tmp_path: Path) -> None:
    noise = str(write_disc(tmp_path / "noise", 1, 20, is_noise=True))

    with pytest.raises(DatasetError, match="the crops are noise"):
        select_set(SelectRequest(bundle_path, (noise,), (), 512, 0, "right", False), tmp_path / "set")


def test_a_single_distance_is_rejected() -> None:
    random = np.random.default_rng(0)

    near = [candidate(random, {"distance": 4}) for _ in range(500)]

    assert complaints(near) == ["all hands are at one distance, wanted several bins of 100 mm"]
    assert complaints([*near, candidate(random, {"distance": 5})]) == []


def test_duplicate_and_empty_crops_are_dropped() -> None:
    random = np.random.default_rng(0)
    one = candidate(random, {"distance": 4})
    nothing = dataclasses.replace(one, depth=np.ones((128, 128), np.float32))

    spread = spread_out([one, one, nothing, candidate(random, {"distance": 4})], 10, 250.0, random)

    assert len(spread.chosen) == 2
    assert spread.dropped == {"twin": 1, "empty": 1}


@pytest.mark.parametrize(("away_mm", "kept"), [(0.9, 1), (1.1, 2)])
def test_crops_are_duplicates_up_to_a_mean_difference_of_a_millimeter(away_mm: float, kept: int) -> None:
    random = np.random.default_rng(0)
    one = candidate(random, {"distance": 4})
    other = dataclasses.replace(one, depth=(one.depth - np.float32(away_mm / 125)).astype(np.float32))

    spread = spread_out([one, other], 10, 250.0, random)

    assert len(spread.chosen) == kept
    assert spread.dropped["twin"] == 2 - kept


@pytest.mark.parametrize(("filled", "kept"), [(163, 0), (164, 1)])
def test_a_crop_is_empty_if_less_than_one_percent_is_filled(filled: int, kept: int) -> None:
    random = np.random.default_rng(0)
    depth = np.ones(128 * 128, np.float32)
    depth[:filled] = 0
    one = dataclasses.replace(candidate(random, {"distance": 4}), depth=depth.reshape(128, 128))

    spread = spread_out([one], 10, 250.0, random)

    assert (len(spread.chosen), spread.dropped["empty"]) == (kept, 1 - kept)


def test_each_candidate_is_selected_at_most_once() -> None:
    random = np.random.default_rng(0)
    ones = [candidate(random, {"distance": index % 3}) for index in range(12)]

    all_of_them, some = (spread_out(ones, wanted, 250.0, random).chosen for wanted in (100, 6))

    assert len({id(one) for one in all_of_them}) == len(all_of_them) >= 10
    assert len(some) == 6 and set(coverage(some)["distance"].values()) == {2}


def test_rare_bins_are_filled_before_common_ones() -> None:
    random = np.random.default_rng(0)
    common = [candidate(random, {"distance": 4, "angle": index % 8}) for index in range(90)]
    rare = [candidate(random, {"distance": 6, "angle": index}) for index in range(8)]

    spread = spread_out([*common, *rare], 16, 250.0, random)

    assert (
        coverage(spread.chosen)["distance"]["6"] >= 6
    )  # a few of the eight are twins of others; by chance it were one
    assert max(coverage(spread.chosen)["angle"].values()) <= 3


def test_a_modified_set_is_rejected_naming_the_file(set_path: Path, tmp_path: Path) -> None:
    for file in set_path.iterdir():
        content = file.read_bytes()
        (tmp_path / file.name).write_bytes(content[:-1] if file.name == "crops.npz" else content)

    with pytest.raises(DatasetError, match=r"crops\.npz does not match set\.json"):
        read_set(tmp_path)


def test_a_request_without_sources_is_rejected(request_all: SelectRequest, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no source"):
        select_set(dataclasses.replace(request_all, frame_sources=()), tmp_path / "set")


def test_a_recording_by_the_camera_vendors_tool_gives_the_same_crops(
    bundle_path: Path, recordings: list[Path], tmp_path: Path
) -> None:
    frames = list(open_recording(recordings[0]))[:12]
    path = write_sdk_recording(tmp_path / "sdk.db3", frames)
    bundle = read_bundle(bundle_path)
    engines = open_engines(bundle, EngineConfig(), batch=1)
    settings = tracker_settings(bundle, TrackingConfig())

    theirs = find_candidates(open_source(str(path)), 0, engines, settings, stride=1)
    ours = find_candidates(open_source(str(recordings[0])), 0, engines, settings, stride=1)

    assert len(theirs.candidates) == 12
    assert [one.frame_sha256 for one in theirs.candidates] == [one.frame_sha256 for one in ours.candidates[:12]]
    # Later crops also depend on frame times, because the tracker predicts the hand's position.
    np.testing.assert_array_equal(theirs.candidates[0].depth, ours.candidates[0].depth)


def test_left_hands_are_mirrored_for_the_network(bundle_path: Path, tmp_path: Path) -> None:
    frame = next(iter(open_recording(write_disc(tmp_path / "disc", 2, 1))))
    turned = frame.depth[:, ::-1].copy()  # LENS has its center in the middle of the image
    with RecordingWriter(tmp_path / "mirrored", frame.intrinsics, 1.0) as writer:
        writer.write(DepthFrame(turned, 1.0, frame.intrinsics, 0, 0))

    crops = {}
    sides: tuple[tuple[Literal["right", "left"], str], ...] = (("right", "disc"), ("left", "mirrored"))
    for side, name in sides:
        select_set(SelectRequest(bundle_path, (str(tmp_path / name),), (), 1, 0, side, True), tmp_path / side)
        crops[side] = read_set(tmp_path / side).crops.depth[0, 0]

    assert (crops["left"] != crops["right"]).mean() < 0.02
    assert (crops["left"] != crops["right"][:, ::-1]).mean() > 0.02
