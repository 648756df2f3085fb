"""Calibration sets and reports from public data sets, of which not every joint is labeled."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from calibration.calibration_set import read_set
from calibration.frame_source import open_source
from calibration.gate import differences
from calibration.idle_options import refuse_idle_options
from calibration.report import report_bundle
from calibration.select import SelectRequest, select_set
from handmap.recording.stated import Stated, read_stated
from handmap.types.errors import ConfigError, DatasetError
from tests.real_depth import BUNDLE
from tests.support.public_sets import FRAMES, SETS, write_own

LABELED = {"nyu": 18, "icvl": 15, "msra": 21, "hands17": 21}


def select_from(name: str, hand: Literal["right", "left"], out: Path) -> None:
    request = SelectRequest(BUNDLE, (name,), (), frames=FRAMES, seed=1, hand=hand, is_forced=True)
    select_set(request, out)


@pytest.mark.parametrize("kind", SETS)
def test_a_calibration_set_is_selected_from_each(kind: str, tmp_path: Path) -> None:
    folder = SETS[kind][0](tmp_path / kind)
    subject = ",subject=1" if kind == "msra" else ""

    select_from(f"{kind}:{folder}{subject}", "left" if kind == "icvl" else "right", tmp_path / "set")

    crops = read_set(tmp_path / "set").crops
    assert len(crops.depth) >= FRAMES - 1 and crops.has_truth
    is_labeled = np.isfinite(crops.truth).all(axis=-1)
    assert set(is_labeled.sum(axis=1)) == {LABELED[kind]}
    assert np.abs(crops.truth[is_labeled]).max() < 1.2


def test_labeled_pngs_are_a_source_with_truth(tmp_path: Path) -> None:
    frame_source = open_source(str(write_own(tmp_path / "own")))
    assert frame_source.has_truth and len(frame_source) == len(list(frame_source)) == 2


def test_hands_of_the_other_side_are_refused(tmp_path: Path) -> None:
    folder = SETS["icvl"][0](tmp_path / "icvl")
    with pytest.raises(
        ConfigError, match="its hands are left, but the right hand was asked for; say --handedness left"
    ):
        select_from(f"icvl:{folder}", "right", tmp_path / "set")
    with pytest.raises(ConfigError, match="say --handedness left"):
        report_bundle(BUNDLE, f"icvl:{folder}", 2, "right", tmp_path / "out")


@pytest.mark.parametrize(
    "stated", [Stated(topic="/depth"), Stated(depth_unit_mm=2.0), read_stated(None, None, "400,400,320,240")]
)
def test_what_is_stated_about_a_recording_is_refused_with_a_data_set(stated: Stated, tmp_path: Path) -> None:
    name = f"nyu:{SETS['nyu'][0](tmp_path / 'nyu')}"
    found = "found --(topic|depth-unit-mm|intrinsics) with a data set, which knows this itself, .*; leave out --"
    with pytest.raises(ConfigError, match=found):
        report_bundle(BUNDLE, name, 2, "right", tmp_path / "out", stated)
    with pytest.raises(ConfigError, match=found):
        select_set(SelectRequest(BUNDLE, (name,), (), FRAMES, 1, "right", True, stated), tmp_path / "set")
    refuse_idle_options((name, str(tmp_path)), stated)  # about the recording


def test_a_report_leaves_joints_without_labels_out(tmp_path: Path) -> None:
    folder = SETS["icvl"][0](tmp_path / "icvl")

    outcome = report_bundle(BUNDLE, f"icvl:{folder}", FRAMES, "left", tmp_path / "out")

    figures = outcome.figures
    assert 0.5 < figures["fp32_mean_mm"] < 6
    for one in figures["precisions"].values():
        assert len(one["error_by_joint_mm"]) == LABELED["icvl"] and 0.5 < one["error_mm"]["mean"] < 6
        assert all(np.isfinite(band["mean"]) for band in one["error_by_distance_mm"].values())
    assert outcome.gate is not None and outcome.gate.kind == "labels" and np.isfinite(outcome.gate.mean_mm)
    assert (tmp_path / "out" / "report.html").read_text().count("wrist") >= 1


def test_the_gate_compares_labeled_joints_and_fails_on_broken_ones() -> None:
    fp32_mm = np.array([[3.0, np.nan], [5.0, np.nan]])
    assert differences(fp32_mm + 1, fp32_mm) == pytest.approx((1.0, 1.0))
    assert np.isnan(differences(np.array([[np.nan, np.nan], [5.0, np.nan]]), fp32_mm)).all()


@pytest.mark.parametrize("name", ["", " ", "recording:", "nyu:,split=test"])
def test_an_empty_name_is_not_the_current_folder(name: str) -> None:
    with pytest.raises(DatasetError, match=r"empty name|no path in its name"):
        open_source(name)
