"""The sheet of published hands: outlines of bones where they belong, and a picture for hands that are found, missed or unlabeled."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handmap.bundle.manifest import read_bundle
from handmap.engines.factory import open_engines
from handmap.recording.reader import open_recording
from handmap.tracking.tracker_settings import TrackingConfig, tracker_settings
from handmap.types.errors import ConfigError, DatasetError, FileError
from handmap.types.intrinsics import Intrinsics, project
from tests.support.processes import ROOT
from training.evaluation.evaluate import EvaluationConfig, evaluate_bundle
from training.evaluation.fitted_sheet import Tile, capsule_px, draw_fitted_sheet, labeled_tile

BUNDLE, DEMO = ROOT / "models" / "handmap-hand21", ROOT / "models" / "demo_recording"
INTRINSICS = Intrinsics(640, 480, 500.0, 500.0, 320.0, 240.0)


def test_a_bone_is_outlined_by_its_ends_and_radii() -> None:
    ends = np.array([[0.0, 0, 500], [100, 0, 500]])

    outline = capsule_px(ends, np.array([20.0, 10.0]), INTRINSICS)

    assert outline[:, 0].min() == pytest.approx(300, abs=0.3)  # 20 mm before the first end, at 1 px a mm
    assert outline[:, 0].max() == pytest.approx(430, abs=0.3)
    assert np.abs(outline[:, 1] - 240).max() == pytest.approx(20, abs=0.3)
    from_first = np.linalg.norm(outline - (320, 240), axis=1)
    from_second = np.linalg.norm(outline - (420, 240), axis=1)
    assert np.minimum(np.abs(from_first - 20), np.abs(from_second - 10)) == pytest.approx(
        np.zeros(len(outline)), abs=1e-9
    )
    assert (from_first >= 20 - 1e-9).all() and (from_second >= 10 - 1e-9).all()


@pytest.mark.parametrize("shift_mm", [0.0, 5.0])
def test_a_bone_seen_end_on_is_the_larger_circle(shift_mm: float) -> None:
    ends = np.array([[0.0, 0, 500], [shift_mm, 0, 600]])

    outline = capsule_px(ends, np.array([20.0, 10.0]), INTRINSICS)

    center = project(np, ends, INTRINSICS)[0]
    assert np.linalg.norm(outline - center, axis=1) == pytest.approx(np.full(len(outline), 20.0))


def test_hands_are_drawn_where_they_are_found(tmp_path: Path) -> None:
    bundle = read_bundle(BUNDLE)
    labeled = next(iter(open_recording(DEMO).labeled()))
    settings = tracker_settings(bundle, TrackingConfig("right", assume_hand_present=True))
    with open_engines(bundle) as engines:
        tile = labeled_tile(labeled, engines, settings, 1)
    nothing = Tile("nothing", labeled.frame, [], None)

    draw_fitted_sheet(
        tmp_path / "s.png", [tile, nothing, Tile("unlabeled", tile.frame, tile.poses, tile.bodies)], columns=3
    )

    assert tile.bodies is not None and "mm (network " in tile.title
    with Image.open(tmp_path / "s.png") as image:
        pixels = np.array(image.convert("RGB")).astype(int)
    is_color = np.ptp(pixels, axis=-1) > 60
    thirds = [is_color[:, side * pixels.shape[1] // 3 : (side + 1) * pixels.shape[1] // 3].mean() for side in range(3)]
    assert thirds[0] > 0.02 and thirds[2] > 0.02 and thirds[1] == 0


def test_evaluate_draws_what_it_scores(tmp_path: Path) -> None:
    figures = evaluate_bundle(BUNDLE, "synthetic:val", EvaluationConfig(max_frames=2, sheet=tmp_path / "s.png"))

    assert figures["frames"] == 2
    assert float(str(figures["mean_mm"])) > 0 and float(str(figures["raw_mean_mm"])) > 0
    with Image.open(tmp_path / "s.png") as image:
        assert image.width > 500


def test_a_sheet_is_not_drawn_of_a_set_scored_by_kind(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="--sheet is for a set of labeled hands"):
        evaluate_bundle(BUNDLE, "synthetic:hard", EvaluationConfig(max_frames=1, sheet=tmp_path / "s.png"))


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("s.xyz", ConfigError, "found the ending '.xyz', wanted that of a picture format; name a .png"),
        ("s", ConfigError, "found the ending ''"),
        ("s.hdf", ConfigError, "found the ending '.hdf'"),
        ("", ConfigError, "is a folder"),
        ("file/s.png", FileError, "cannot be written"),
    ],
)
def test_a_sheet_that_cannot_be_written_is_refused_before_the_work(
    name: str, kind: type[Exception], says: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(kind, match=says):
        evaluate_bundle(tmp_path / "absent", "synthetic:val", EvaluationConfig(sheet=tmp_path / name))

    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_sheet_has_the_format_of_its_ending(tmp_path: Path) -> None:
    labeled = next(iter(open_recording(DEMO).labeled()))

    draw_fitted_sheet(tmp_path / "s.jpg", [Tile("nothing", labeled.frame, [], None)])

    with Image.open(tmp_path / "s.jpg") as image:
        assert image.format == "JPEG"


@pytest.mark.parametrize("data", ["", "recording:"])
def test_a_name_without_a_path_is_not_the_current_folder(data: str) -> None:
    with pytest.raises(DatasetError, match="found no path in its name"):
        evaluate_bundle(BUNDLE, data, EvaluationConfig())
