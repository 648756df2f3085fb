"""The two-hand benchmark: its frames, its truth, and that it tells a good tracker from a bad one."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from handmap.metrics.matching import TrackedFrame, match_hands
from handmap.metrics.tracking_events import find_crossings
from handmap.metrics.tracking_metrics import TrackCounts, score_tracks, sum_counts, track_summary
from handmap.tracking.track import cube_center
from handmap.types.errors import ConfigError
from handmap.types.intrinsics import project
from handmap.types.values import Handedness, HandPose
from tests.support.drawn_scenes import SOMEWHERE
from tests.support.tiny_bundle import write_bundle
from training.commands import evaluate
from training.datasets.two_hands import SCENES, TwoHandFrame, render_sequence
from training.datasets.two_hands_motion import ease
from training.evaluation.evaluate_sequence import evaluate_sequence, sequence_table

KINDS = {kind.name: kind for kind in SCENES}


def frames_of(scene: str, index: int = 0, frames: int = 5) -> list[TwoHandFrame]:
    return list(render_sequence(KINDS[scene], index, frames))


def oracle(shown: TwoHandFrame) -> TrackedFrame:
    """What a tracker without fault says."""
    poses = [
        HandPose(
            hand.xyz_camera_mm, np.zeros(21, np.float32), SOMEWHERE, hand.hand_id, hand.handedness, 1.0, 1.0, True, True, False,
            shown.frame.frame_number, shown.frame.capture_ns,
        )
        for hand in shown.truth
        if hand.must_detect
    ]  # fmt: skip
    return TrackedFrame(shown.truth, tuple(poses))


@pytest.mark.parametrize("scene", KINDS)
def test_a_sequence_depends_on_its_scene_and_number_alone(scene: str) -> None:
    first, again, other = (frames_of(scene, index, 3)[2].frame.depth for index in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("scene", ["crossing", "clutter", "near-far", "one-hand"])
def test_joints_lie_on_the_surface_that_the_camera_sees(scene: str) -> None:
    for shown in frames_of(scene):
        for hand in shown.truth:
            uv = np.rint(project(np, hand.xyz_camera_mm, shown.frame.intrinsics)).astype(int)
            inside = (uv >= 0).all(axis=1) & (uv < (640, 480)).all(axis=1)
            z_mm = shown.frame.depth[uv[inside, 1], uv[inside, 0]] * shown.frame.depth_unit_mm
            on_hand = np.abs(z_mm - hand.xyz_camera_mm[inside, 2]) < 45
            assert on_hand.sum() >= hand.seen_joints - 4  # less what the sensor loses


def test_left_hands_are_mirrored_right_ones() -> None:
    """The thumb's side, seen from the wrist toward the knuckles with the palm's normal, tells which hand it is."""
    signs: dict[Handedness, set[bool]] = {Handedness.LEFT: set(), Handedness.RIGHT: set()}
    for index in range(6):
        for hand in frames_of("clutter", index, 2)[0].truth:
            wrist, thumb, middle, little = hand.xyz_camera_mm[[0, 1, 9, 17]].astype(np.float64)
            # The thumb's base lies on the palm's side of the plane of wrist and knuckles.
            triple = np.dot(np.cross(middle - wrist, little - wrist), thumb - wrist)
            signs[hand.handedness].add(bool(triple > 0))

    assert len(signs[Handedness.LEFT]) == len(signs[Handedness.RIGHT]) == 1
    assert signs[Handedness.LEFT] != signs[Handedness.RIGHT]


def test_hands_cross_as_often_as_they_swap_sides() -> None:
    for index in range(2):
        frames = [oracle(shown) for shown in render_sequence(KINDS["crossing"], index, 90)]

        crossings = find_crossings(frames, [match_hands(frame) for frame in frames], 2)

        assert len(crossings) == 3
        assert all(crossing.is_kept for crossing in crossings)


def test_a_hand_goes_out_of_sight_behind_a_thing_and_comes_back() -> None:
    seen = [shown.truth[0].seen_joints for shown in frames_of("occlusion", 1, 11)]

    assert seen[0] >= 7 and seen[-1] >= 7 and min(seen) < 3


def test_a_hand_leaves_the_image_and_comes_back() -> None:
    seen = np.array([[hand.seen_joints for hand in shown.truth] for shown in frames_of("in-and-out", 2, 21)])

    assert seen[0].min() >= 7 and seen[-1].min() >= 7
    assert (seen.min(axis=0) == 0).all()


def test_hands_go_from_300_to_900_mm() -> None:
    depths = [[cube_center(hand.xyz_camera_mm)[2] for hand in shown.truth] for shown in frames_of("near-far", 0, 9)]

    assert np.min(depths) < 340 and np.max(depths) > 860


def test_one_hand_is_one_and_empty_is_none() -> None:
    assert {len(shown.truth) for shown in frames_of("one-hand")} == {1}
    assert {len(shown.truth) for shown in frames_of("empty")} == {0}
    assert all(shown.frame.depth.any() for shown in frames_of("empty"))


def test_easing_passes_through_every_value_at_rest() -> None:
    values = np.array([[0.0], [10.0], [4.0]])

    assert [float(ease(values, turn)[0]) for turn in (0.0, 0.25, 0.5, 1.0)] == [0, 5, 10, 4]
    assert ease(values, 0.51)[0] == pytest.approx(10, abs=0.01)


def test_a_network_that_knows_nothing_scores_as_badly_as_it_should(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")

    result = CliRunner().invoke(
        evaluate, ["--bundle", str(bundle.path), "--sequence", "two-hands", "--quick", "--json"]
    )

    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert set(figures["scenes"]) == set(KINDS) == set(figures["baseline"]["scenes"])
    assert figures["frames"] == sum(kind.quick_frames for kind in SCENES)
    assert not figures["targets"]["detection_rate"]["is_met"]
    assert figures["baseline"]["scenes"]["empty"]["detection_rate"] is None
    assert "not met" in sequence_table(figures)
    assert "bones %" in sequence_table(figures) and "bone_variation" in figures["scenes"]["crossing"]


def test_an_unknown_sequence_is_rejected_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="use one of two-hands"):
        evaluate_sequence(tmp_path, "three-hands", "fp32", 1, True)


@pytest.mark.parametrize(
    "options", [[], ["--data", "synthetic:val", "--sequence", "two-hands"], ["--sequence", "two-hands", "--frames", "3"],
                ["--data", "synthetic:val", "--quick"]],
)  # fmt: skip
def test_conflicting_options_are_rejected(options: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(evaluate, ["--bundle", str(tmp_path), *options])

    assert result.exit_code == 2
    assert "--sequence" in result.output


def test_a_faultless_tracker_has_a_faultless_score() -> None:
    counts: list[TrackCounts] = []
    for scene in ("crossing", "in-and-out", "one-hand"):
        counts.append(score_tracks([oracle(shown) for shown in frames_of(scene, 0, 60)], 2))

    figures = track_summary(sum_counts(counts))

    assert (figures["detection_rate"], figures["ids_kept"], figures["handedness_accuracy"]) == (1, 1, 1)
    assert (figures["false_hands"], figures["id_switches"], figures["mean_mm"]) == (0, 0, 0)
