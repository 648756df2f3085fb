"""`handmap label` end to end with the shipped bundle: labels near the truth, bad frames dropped, and nothing left of a failure."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from handmap.recording.datasets import LabeledFrame, open_dataset
from handmap.recording.reader import open_recording
from handmap.recording.stated import RecordingAt
from handmap.recording.writer import RecordingWriter
from handmap.types.errors import DatasetError
from handmap.types.values import Handedness
from training.commands import label
from training.labeling.fit_track import FittedTrack
from training.labeling.label import LabeledTrack, LabelRequest, LabelSummary, judge_frames, label_recording
from training.synthesis.motion import synthesize_frames

BUNDLE = Path(__file__).resolve().parents[3] / "models/handmap-hand21"
EMPTY_FROM = 30  # frames from here on show nothing


def film(path: Path, frames: list[LabeledFrame], is_mirrored: bool = False) -> Path:
    with RecordingWriter(path, frames[0].frame.intrinsics, 1.0) as writer:
        for number, one in enumerate(frames):
            depth = np.zeros_like(one.frame.depth) if number >= EMPTY_FROM else one.frame.depth
            writer.write(replace(one.frame, depth=depth[:, ::-1].copy() if is_mirrored else depth))
    return path


@pytest.fixture(scope="module")
def moving() -> list[LabeledFrame]:
    return list(synthesize_frames(21, 40, 15))


def test_labels_are_near_the_truth_and_empty_frames_are_dropped(moving: list[LabeledFrame], tmp_path: Path) -> None:
    recording, out = film(tmp_path / "film", moving), tmp_path / "labels"

    done = CliRunner().invoke(
        label, ["--recording", str(recording), "--bundle", str(BUNDLE), "--out", str(out), "--json"]
    )

    assert done.exit_code == 0, done.output
    summary = json.loads((out / "summary.json").read_text())
    assert json.loads(done.stdout)["kept"] == summary["kept"] == len(open_dataset(str(out / "recording")))
    assert 0.6 * EMPTY_FROM < summary["kept"] <= EMPTY_FROM
    assert summary["frames"] == 40 and summary["dropped"]["no hand"] >= 10
    assert summary["kept"] + sum(summary["dropped"].values()) == 40
    errors, doubts = [], []
    by_depth = {one.frame.depth.tobytes(): one for one in moving}
    for found in open_dataset(str(out / "recording")):
        truth = by_depth[found.frame.depth.tobytes()]
        errors.append(np.linalg.norm(found.xyz_camera_mm - truth.xyz_camera_mm, axis=1))
        assert found.doubt_mm is not None and found.handedness is Handedness.RIGHT
        assert np.mean(found.is_visible == truth.is_visible) > 0.8
        doubts.append(found.doubt_mm)
    assert np.mean(errors) < 6 and 0.4 < np.mean(doubts) / np.mean(errors) < 2.5
    with Image.open(out / "sheet.png") as sheet:
        assert min(sheet.size) > 400


def test_a_left_hand_is_labeled_as_one(moving: list[LabeledFrame], tmp_path: Path) -> None:
    recording = film(tmp_path / "film", moving[:12], is_mirrored=True)

    for _ in range(2):  # labels of one's own are replaced
        label_recording(LabelRequest(RecordingAt(recording), BUNDLE, "left"), tmp_path / "labels")

    found = list(open_dataset(str(tmp_path / "labels/recording")))
    assert found and all(one.handedness is Handedness.LEFT for one in found)
    by_depth = {one.frame.depth[:, ::-1].tobytes(): one.xyz_camera_mm for one in moving}
    errors = [
        np.linalg.norm(one.xyz_camera_mm - by_depth[one.frame.depth.tobytes()] * [-1, 1, 1], axis=1) for one in found
    ]
    assert np.mean(errors) < 8


def test_nothing_to_trust_leaves_nothing_behind(moving: list[LabeledFrame], tmp_path: Path) -> None:
    recording = film(tmp_path / "film", moving)
    request = LabelRequest(RecordingAt(recording), BUNDLE)
    strict = replace(request, limits=replace(request.limits, max_error_mm=0.01))

    with pytest.raises(DatasetError, match=r"no frame that can be trusted, of 40 ") as refused:
        label_recording(strict, tmp_path / "labels")

    says = str(refused.value)
    assert re.search(r"\d+ without a hand, \d+ because of their expected error, 0 because of their silhouette\)", says)
    named = set(re.findall(r"--[a-z-]+", says))
    assert named == {"--handedness", "--max-error-mm", "--min-agreement"}
    assert named <= {name for option in label.params for name in option.opts}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film"]


def test_labels_are_never_overwritten_by_those_of_another_folder(moving: list[LabeledFrame], tmp_path: Path) -> None:
    recording = film(tmp_path / "film", moving[:3])
    (tmp_path / "own").mkdir()
    (tmp_path / "own/photo.jpg").write_bytes(b"mine")

    done = CliRunner().invoke(
        label, ["--recording", str(recording), "--bundle", str(BUNDLE), "--out", str(tmp_path / "own")]
    )

    assert done.exit_code != 0 and (tmp_path / "own/photo.jpg").read_bytes() == b"mine"


def test_a_summary_says_why_frames_were_dropped() -> None:
    dropped = {"no hand": 0, "expected error": 15, "silhouette": 2}

    text = str(LabelSummary(20, 3, dropped, 4.0, 8.0))

    assert text.endswith("dropped: 15 because of their expected error, 2 because of their silhouette")


def test_the_doubt_of_a_dropped_frame_is_shown_as_more_than_the_limit(
    moving: list[LabeledFrame], tmp_path: Path
) -> None:
    recording = open_recording(film(tmp_path / "film", moving[:1]))
    doubt_mm = np.full((1, 21), 10.1)
    fitted = FittedTrack(moving[0].xyz_camera_mm[None].astype(np.float64), doubt_mm)
    track = LabeledTrack(fitted, np.ones(1), "")

    (judged,) = judge_frames(recording, track, LabelRequest(RecordingAt(tmp_path), BUNDLE))

    assert (judged.reason, judged.figure) == ("expected error", "10.1 mm")
