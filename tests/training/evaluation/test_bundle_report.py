"""The report of a bundle on a data set."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from handmap.metrics.error_figures import CURVES
from handmap.types.errors import DatasetError
from handmap.types.joints import HAND21
from tests.support.tiny_bundle import write_bundle
from training.commands import evaluate
from training.evaluation.evaluate import EvaluationConfig, evaluate_bundle, evaluation_table


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
    assert f"<td>mean, mm</td><td>{figures['mean_mm']:.3f}</td><td>{figures['raw_mean_mm']:.3f}</td>" in page
    assert "Joint errors of bundle on synthetic:val" in page and "3 frames, the hand found in" in page


def test_a_set_scored_by_kind_has_no_report(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")

    with pytest.raises(
        DatasetError, match="--report is for a set of labeled hands, but 'synthetic:hard' is scored by kind"
    ):
        evaluate_bundle(bundle.path, "synthetic:hard", EvaluationConfig(max_frames=1, report=tmp_path / "r"))
    assert os.listdir(tmp_path) == ["bundle"]
