"""The report of a bundle on a data set."""

import json
import os
import re
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.image import imread

from handmap.metrics.error_figures import CURVES
from handmap.types.errors import DatasetError
from handmap.types.joints import HAND21
from tests.support.tiny_bundle import write_bundle
from training.commands import evaluate
from training.evaluation.error_report import ErrorReport, write_report
from training.evaluation.evaluate import EvaluationConfig, evaluate_bundle, evaluation_table
from training.evaluation.report_plots import draw_curves, draw_per_joint
from training.trainer.legend_names import shown_names


def test_a_bundle_has_the_same_figures_and_report_as_result_files(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    words = [
        "--bundle",
        str(bundle.path),
        "--data",
        "synthetic:val",
        "--frames",
        "3",
        "--report",
        str(tmp_path / "r"),
        "--json",
    ]

    done = CliRunner().invoke(evaluate, words)

    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert set(figures["success_auc"]) == set(CURVES) and figures["worst_joint"] in HAND21
    assert figures["worst_joint_mean_mm"] == max(figures["per_joint_mm"].values())
    assert "success_auc max_frame" in evaluation_table(figures)
    assert sorted(os.listdir(tmp_path / "r")) == [
        "curves.png",
        "curves.svg",
        "index.html",
        "per_joint.png",
        "per_joint.svg",
    ]
    page = (tmp_path / "r" / "index.html").read_text()
    assert (
        f"<td>mean,\N{NO-BREAK SPACE}mm</td><td>{figures['mean_mm']:.3f}</td><td>{figures['raw_mean_mm']:.3f}</td>"
        in page
    )
    assert "Joint errors of bundle on synthetic:val" in page and "3 frames, the hand found in" in page


def test_a_set_scored_by_kind_has_no_report(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")

    with pytest.raises(
        DatasetError, match="--report is for a set of labeled hands, but 'synthetic:hard' is scored by kind"
    ):
        evaluate_bundle(bundle.path, "synthetic:hard", EvaluationConfig(max_frames=1, report=tmp_path / "r"))
    assert os.listdir(tmp_path) == ["bundle"]


@pytest.mark.parametrize(
    "names",
    [
        [f"a method with quite a long name, number {number} of 12" for number in range(12)],
        ["W" * 150 + str(number) for number in range(4)],
        ["_hidden", "$dollar^", "\u65b9\u6cd5"],
    ],
)
def test_legends_of_any_names_stay_clear_of_the_curves(names: list[str]) -> None:
    random = np.random.default_rng(4)
    error_mm = {name: random.gamma(2, 4 + place, (20, 21)) for place, name in enumerate(names)}

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of layouts that do not fit and of missing glyphs
        curves, per_joint = draw_curves(error_mm), draw_per_joint(error_mm, HAND21)

    shown = shown_names(names)
    assert all(f"<!-- {name}: 0." in curves["svg"].decode() for name in shown)
    assert all(f"<!-- {name} -->" in per_joint["svg"].decode() for name in shown)
    for drawn in (curves, per_joint):
        pixels = imread(BytesIO(drawn["png"]))[..., :3]
        rows = np.flatnonzero((pixels == 0).all(axis=2).sum(axis=1) > 0.7 * pixels.shape[1])  # the panels' edges
        assert rows[0] < 40 and rows[-1] - rows[0] > 350  # a panel keeps its size, whatever is in the legend
        assert (pixels[:, -1] == 1).all() and (pixels[-1] == 1).all()  # nothing is cut off


def test_the_first_column_of_a_report_stays_on_one_line(tmp_path: Path) -> None:
    errors = np.full((2, 21), 5.0)

    write_report(tmp_path / "r", ErrorReport("Errors", (), HAND21, {"a method": errors}))

    firsts = re.findall("<tr><t[dh]>([^<]*)<", (tmp_path / "r/index.html").read_text())
    assert "mean,\N{NO-BREAK SPACE}mm" in firsts and not any(" " in first or "-" in first for first in firsts)
