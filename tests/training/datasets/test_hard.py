"""`synthetic:hard` and `synthetic:tune`: what they are never changes; sides, kinds and scores by kind."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

import training.datasets.hard_set
from handmap.bundle.manifest import Bundle
from handmap.recording.datasets import KindDataset, KindFrame, open_dataset
from handmap.types.intrinsics import project
from handmap.types.joints import HAND21
from handmap.types.values import Handedness
from tests.support.tiny_bundle import write_bundle
from training.commands import evaluate
from training.datasets.hard_empty import EMPTY_KINDS
from training.datasets.hard_hands import HAND_KINDS, HandKind, mirror, show_hand, stage_hand
from training.datasets.hard_set import HARD_SETS
from training.datasets.hard_sheet import draw_hard_sheet
from training.evaluation.evaluate import EvaluationConfig, evaluate_bundle, evaluation_table
from training.hand.hand_model import load_hand_asset
from training.synthesis.scene import FULL_IMAGE, render_scene

SPEC = json.loads((Path(training.datasets.hard_set.__file__).parent / "assets" / "synthetic_hard.json").read_text())
HARD, TUNE = HARD_SETS["hard"], HARD_SETS["tune"]


@pytest.fixture(scope="module")
def two_turns() -> list[KindFrame]:
    """The first 40 frames: two of each kind."""
    return list(HARD.kind_frames(40))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return write_bundle(tmp_path / "bundle")


@pytest.mark.parametrize("name", ["hard", "tune"])
def test_the_set_matches_its_definition(name: str) -> None:
    data, spec = HARD_SETS[name], SPEC[name]

    assert data.name == spec["name"]
    assert data.count_frames() == spec["frames"]
    assert len(data) == spec["frames_with_a_hand"]
    assert data.seed_domain == spec["seed_domain"]
    assert {kind: data.turns * data.kinds.count(kind) for kind in data.kinds} == spec["frames_by_kind"]


@pytest.mark.parametrize("name", ["hard", "tune"])
def test_labels_never_change(name: str) -> None:
    assert HARD_SETS[name].label_digest() == SPEC[name]["labels_sha256"]


def test_depth_never_changes(two_turns: list[KindFrame]) -> None:
    for shown, (kind, seen, mean_mm) in zip(two_turns, SPEC["hard"]["first_frames"], strict=True):
        depth = shown.frame.depth

        assert shown.kind == kind
        assert int((depth > 0).sum()) == pytest.approx(seen, rel=1e-3)
        assert float(depth[depth > 0].mean()) == pytest.approx(mean_mm, rel=1e-4)


def test_hands_are_where_the_kind_says_and_sides_take_turns(two_turns: list[KindFrame]) -> None:
    for index, shown in enumerate(two_turns):
        if shown.kind in EMPTY_KINDS:
            assert shown.hands == ()
            continue
        own = shown.hands[0]
        assert own.handedness is (Handedness.RIGHT if index < 20 else Handedness.LEFT)
        assert own.xyz_camera_mm.shape == (len(HAND21), 3)
        assert own.is_visible.any()
        assert len(shown.hands) == 1 or shown.kind == "company"
        z = float(own.xyz_camera_mm[:, 2].mean())
        assert 650 < z < 1100 if shown.kind == "far" else z < 800


def test_half_of_the_hands_of_each_kind_are_left() -> None:
    sides = [(HARD.kinds[index % 20], HARD._is_left(index)) for index in range(HARD.count_frames())]

    assert all(sides.count((kind, True)) == sides.count((kind, False)) == 100 for kind in HAND_KINDS)


def test_frames_without_a_hand_show_something_and_no_joint(two_turns: list[KindFrame]) -> None:
    empty = [shown for shown in two_turns if shown.kind in EMPTY_KINDS]

    assert len(empty) == 20
    for shown in empty:
        depth = shown.frame.depth
        in_range = (depth > 250) & (depth < 1100)
        assert in_range.sum() > 500, shown.kind


def shown_as(name: str, kind: HandKind) -> NDArray[np.uint16]:
    """Depth of the first frame of a kind, drawn by other figures."""
    random = np.random.default_rng([HARD.seed_domain, HARD.kinds.index(name)])
    staged = stage_hand(kind, HARD.draw_shape, random)
    depth: NDArray[np.uint16] = show_hand(name, kind, staged, False, random).frame.depth
    return depth


def test_one_pixel_in_a_hundred_is_salt() -> None:
    kind = HAND_KINDS["near_salt"]
    salted, clean = shown_as("near_salt", kind), shown_as("near_salt", replace(kind, near_salt=0))

    np.testing.assert_array_equal(salted, HARD.show(HARD.kinds.index("near_salt")).frame.depth)
    is_grain = salted != clean
    assert 0.008 < is_grain.mean() < 0.012
    assert salted[is_grain].max() < HARD.show(HARD.kinds.index("near_salt")).hands[0].xyz_camera_mm[:, 2].min()


def test_a_quarter_of_the_hand_is_lost_in_holes() -> None:
    kind = HAND_KINDS["holes"]
    holed, whole = shown_as("holes", kind), shown_as("holes", replace(kind, hole_share=0))
    random = np.random.default_rng([HARD.seed_domain, HARD.kinds.index("holes")])
    scene = stage_hand(kind, HARD.draw_shape, random).scene
    _, is_hand = render_scene(load_hand_asset(), scene, FULL_IMAGE)
    uv = np.rint(project(np, scene.joints_mm, scene.intrinsics)).astype(int)
    (left, top), (right, bottom) = uv.min(axis=0), uv.max(axis=0)
    box = (slice(top, bottom + 1), slice(left, right + 1))

    lost = (whole > 0) & (holed == 0) & is_hand
    assert 0.15 < lost[box].sum() / is_hand[box].sum() < 0.35
    assert lost.sum() - lost[box].sum() < 0.3 * lost.sum()


def test_mirrored_world_is_seen_by_the_mirrored_lens() -> None:
    shown = HARD.show(0)
    intrinsics = shown.frame.intrinsics
    z = np.zeros((480, 640), np.float32)
    z[100, 50] = 400

    turned, _, other = mirror(z, z > 0, intrinsics)

    (row,), (column,) = np.nonzero(turned)
    assert row == 100
    assert (column - other.cx_px) / other.fx_px == pytest.approx(-(50 - intrinsics.cx_px) / intrinsics.fx_px)


def test_shapes_of_the_hard_set_differ_from_those_of_training() -> None:
    assert HARD.draw_shape is training.datasets.hard_set.draw_outer_shape
    assert HARD.seed_domain != TUNE.seed_domain


def test_set_by_kinds_is_a_data_set_of_its_hands() -> None:
    data = open_dataset("synthetic:hard")

    assert isinstance(data, KindDataset)
    assert len(data) == 2000
    assert next(iter(data)).handedness is Handedness.RIGHT


def test_evaluate_by_kind_on_a_bundle_without_palms_or_side(bundle: Bundle) -> None:
    options = ["--bundle", str(bundle.path), "--data", "synthetic:hard", "--frames", "20", "--json"]

    result = CliRunner().invoke(evaluate, options)

    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert set(figures["by_kind"]) == {*HAND_KINDS, *EMPTY_KINDS}
    assert set(figures["by_kind"]["far"]) == {
        "found", "mean_mm", "visible_mean_mm", "oracle_mean_mm", "side_right", "side_left", "frames"
    }  # fmt: skip
    assert set(figures["by_kind"]["head"]) == {"published", "worst_confidence", "frames"}
    assert {"found", "side_right", "side_left", "published_without_hand", "auroc_hand", "auroc_joint_20mm"} <= set(
        figures
    )
    assert figures["defaults"] == "run"
    assert figures["hand"] == "right"
    assert figures["frames"] == 20


def test_expecting_a_hand_publishes_no_less_than_the_daemon_does(bundle: Bundle) -> None:
    run = evaluate_bundle(bundle.path, "synthetic:hard", EvaluationConfig(max_frames=20, defaults="run"))
    found = evaluate_bundle(bundle.path, "synthetic:hard", EvaluationConfig(max_frames=20, defaults="found"))

    share = (run["published_without_hand"], found["published_without_hand"])
    assert isinstance(share[0], float) and isinstance(share[1], float)
    assert share[1] >= share[0]
    assert "held_object" in evaluation_table(run)


def test_a_set_of_hands_is_scored_by_either_defaults(bundle: Bundle) -> None:
    by_default = evaluate_bundle(bundle.path, "synthetic:val", EvaluationConfig(max_frames=2))
    run = evaluate_bundle(bundle.path, "synthetic:val", EvaluationConfig(max_frames=2, defaults="run"))

    assert by_default["defaults"] == "found"
    assert run["defaults"] == "run"
    assert run["oracle_mean_mm"] == by_default["oracle_mean_mm"]


def test_sheet_is_a_picture(tmp_path: Path) -> None:
    draw_hard_sheet(tmp_path / "sheet.png")

    assert (tmp_path / "sheet.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
