"""The report beyond the gate: the accuracy of FP32 itself, and the reliability of expected errors."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from calibration.commands import calibrate
from calibration.compare import Comparison
from calibration.detector_inputs import join_inputs
from calibration.gate import explain_fp32, judge_labeled
from calibration.plots import draw_reliability
from calibration.quantize import Recipe, quantize_bundle
from calibration.report import report_bundle
from calibration.report_metrics import POOR_MM, found_reliability, fp32_worth
from calibration.report_page import banners
from handmap.recording.datasets import LabeledFrame
from handmap.recording.reader import open_recording
from handmap.recording.writer import RecordingWriter
from handmap.types.arrays import Float64
from handmap.types.values import Handedness
from tests.calibration.conftest import INTRINSICS, write_disc

FRAMES = 12


def comparison_of(error_mm: Float64, expected_mm: Float64) -> Comparison:
    """A comparison of FP32 alone with these errors (M, J); hands that are 125 mm off throughout were not found."""
    blank = np.zeros((0, 21, 3), np.float32)
    found = {"fp32": ~(error_mm == 125.0).all(axis=1)}
    distances = np.zeros(0)
    return Comparison(
        "d", blank, {"fp32": blank}, blank, distances, [], join_inputs([]),
        found_error_mm={"fp32": error_mm}, expected_error_mm={"fp32": expected_mm}, is_found=found,
    )  # fmt: skip


def figures_of(mean_mm: float | None, int8_is_off_mm: float) -> dict[str, object]:
    error_mm = np.full((50, 21), mean_mm or 0.0)
    found = np.ones(50, bool)
    gate = judge_labeled((error_mm + int8_is_off_mm, error_mm), (found, found), "d")
    worth = fp32_worth(comparison_of(error_mm, error_mm)) if mean_mm is not None else fp32_worth(unlabeled())
    return {"dataset": "d", **worth, "gates": {"int8": msgspec.to_builtins(gate)}}


def unlabeled() -> Comparison:
    blank = np.zeros((0, 21, 3), np.float32)
    return Comparison("d", blank, {"fp32": blank}, blank, np.zeros(0), [], join_inputs([]))


@pytest.mark.parametrize(
    ("mean_mm", "int8_is_off_mm", "kinds"),
    [
        (POOR_MM - 0.1, 0.0, ["", "passed"]),
        (POOR_MM - 0.1, 0.6, ["", "failed"]),
        (POOR_MM, 0.0, ["failed", ""]),
        (79.7, 0.0, ["failed", ""]),
        (79.7, 0.6, ["failed", "failed"]),
        (None, 0.0, ["", "passed"]),
    ],
)
def test_nothing_is_green_if_fp32_is_poor(mean_mm: float | None, int8_is_off_mm: float, kinds: list[str]) -> None:
    shown = list(banners(figures_of(mean_mm, int8_is_off_mm)))

    assert [text.split('class="')[1].split('"')[0] if "class=" in text else "" for text in shown] == kinds
    assert shown[0].split(">")[1].startswith("fp32 itself: ") and "int8: gate " in shown[1]


def test_fp32_accuracy_is_shown_in_mm_or_as_unknown() -> None:
    poor = fp32_worth(comparison_of(np.full((4, 21), 79.7), np.ones((4, 21))))

    assert poor == {"fp32_mean_mm": 79.7, "is_fp32_poor": True}
    assert fp32_worth(unlabeled()) == {"fp32_mean_mm": None, "is_fp32_poor": None}
    assert fp32_worth(comparison_of(np.full((4, 21), np.nan), np.ones((4, 21))))["is_fp32_poor"] is True
    assert explain_fp32(79.7, True, "d").startswith("fp32 itself: mean error 79.7 mm, POOR")
    assert explain_fp32(7.2, False, "d") == "fp32 itself: mean error 7.2 mm"
    assert "d has no labels" in explain_fp32(None, None, "d")


def test_reliability_covers_only_detected_hands() -> None:
    random = np.random.default_rng(0)
    expected_mm = random.uniform(2, 40, (100, 21))
    error_mm = expected_mm.copy()
    error_mm[:10] = 125.0  # not found

    found = found_reliability(comparison_of(error_mm, expected_mm), "fp32")

    deciles = found["expected_error_deciles"]
    assert found["auroc_joint_20mm"] == 1.0
    assert isinstance(deciles, list) and len(deciles) == 10
    assert all(one["expected_mm"] == pytest.approx(one["true_mm"]) for one in deciles)


def test_the_reliability_plot_shows_every_precision_in_its_color(tmp_path: Path) -> None:
    groups = [{"expected_mm": 2.0 * (index + 1), "true_mm": 3.0 * (index + 1)} for index in range(10)]

    for names in (["fp32"], ["fp32", "int8"]):
        (tmp_path / f"{len(names)}.png").write_bytes(draw_reliability(dict.fromkeys(names, groups)))

    orange = np.array([0xD8, 0x61, 0x3B])
    one, two = (np.asarray(Image.open(tmp_path / f"{count}.png"))[..., :3] for count in (1, 2))
    assert not (one == orange).all(axis=-1).any()
    assert (two == orange).all(axis=-1).any()


@pytest.fixture(scope="module")
def labeled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A labeled recording on which an untrained network has large errors."""
    folder = tmp_path_factory.mktemp("labeled")
    write_disc(folder / "plain", 7, FRAMES)
    spread = np.linspace(-40, 40, 21)
    with RecordingWriter(folder / "labeled", INTRINSICS, 1.0) as writer:
        for frame in open_recording(folder / "plain"):
            z_mm = float(np.median(frame.depth[frame.depth > 0]))
            xyz_mm = np.stack([spread, -spread, np.full(21, z_mm)], axis=1).astype(np.float32)
            writer.write_labeled(LabeledFrame(frame, xyz_mm, np.ones(21, bool), Handedness.RIGHT))
    return folder / "labeled"


def test_an_untrained_network_is_called_poor_everywhere(
    bundle_path: Path, set_path: Path, labeled: Path, tmp_path: Path
) -> None:
    quantize_bundle(bundle_path, set_path, Recipe("mse", "fp32", frozenset()), None, tmp_path / "b")

    outcome = report_bundle(tmp_path / "b", str(labeled), FRAMES, "right", tmp_path / "b")
    arguments = ["report", "--bundle", f"{tmp_path}/b", "--data", str(labeled), "--out", f"{tmp_path}/c"]
    printed = CliRunner().invoke(calibrate, arguments, catch_exceptions=False)

    figures = msgspec.json.decode((tmp_path / "b" / "report.json").read_bytes())
    page = (tmp_path / "b" / "report.html").read_text()
    assert figures["fp32_mean_mm"] > POOR_MM and figures["is_fp32_poor"] is True
    assert outcome.figures["fp32_mean_mm"] == figures["fp32_mean_mm"]
    assert '<p class="failed">fp32 itself: ' in page
    assert "POOR" in printed.output
    assert "Reliability of the expected errors" in page
    assert set(figures["precisions"]["int8"]["reliability"]) == {"auroc_joint_20mm", "expected_error_deciles"}
