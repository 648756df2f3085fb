"""Figures of joint errors against values computed by hand."""

import numpy as np
import pytest

from handmap.metrics.error_figures import CURVES, error_summary, success_curve
from handmap.metrics.pose_error import MISSED_MM, FrameErrors, found_errors_mm, pose_error_summary
from handmap.types.errors import DatasetError

NAN = np.nan
# Three frames of two joints: largest 10, 50, 100; mean 5, 40, 90; single joints 0, 10, 30, 50, 80, 100.
ERROR_MM = np.array([[0.0, 10], [30, 50], [80, 100]])


def test_figures_are_those_computed_by_hand() -> None:
    figures = error_summary(ERROR_MM, ("palm", "tip"))

    assert figures == {
        "mean_mm": 45, "median_mm": 40, "p95_mm": pytest.approx(95), "per_joint_mm": {"palm": pytest.approx(110 / 3), "tip": pytest.approx(160 / 3)},
        "worst_joint": "tip", "worst_joint_mean_mm": pytest.approx(160 / 3), "within_20mm": pytest.approx(1 / 3),
        "within_30mm": pytest.approx(1 / 3), "within_40mm": pytest.approx(1 / 3), "frames": 3,
        "success_auc": {
            "max_frame": pytest.approx((70 + 30 + 0) / 240), "mean_frame": pytest.approx((75 + 40 + 0) / 240),
            "joint": pytest.approx((80 + 70 + 50 + 30 + 0 + 0) / 480),
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("max_frame", {9.5: 0, 10: 1 / 3, 50: 2 / 3, 80: 2 / 3}), ("mean_frame", {4.5: 0, 5: 1 / 3, 40: 2 / 3, 80: 2 / 3}),
     ("joint", {0: 1 / 6, 10: 2 / 6, 49.5: 3 / 6, 80: 5 / 6})],
)  # fmt: skip
def test_a_share_is_of_what_is_at_most_the_threshold(kind: str, expected: dict[float, float]) -> None:
    curve = success_curve(ERROR_MM, kind)  # type: ignore[arg-type]  # a parameter's kind is a str

    shares = dict(zip(curve.thresholds_mm.tolist(), curve.shares.tolist(), strict=True))
    assert {threshold: shares[threshold] for threshold in expected} == pytest.approx(expected)
    assert (curve.thresholds_mm[0], curve.thresholds_mm[-1]) == (0, 80)


@pytest.mark.parametrize("kind", CURVES)
def test_the_area_is_that_under_the_curve(kind: str) -> None:
    error_mm = np.random.default_rng(3).gamma(2, 15, (500, 14))

    curve = success_curve(error_mm, kind)  # type: ignore[arg-type]  # a parameter's kind is a str

    assert np.trapezoid(curve.shares, curve.thresholds_mm) / 80 == pytest.approx(
        curve.auc, abs=0.005
    )  # of steps of 0.5 mm


def test_a_joint_without_a_label_is_left_out_and_its_frame_counts_by_the_others() -> None:
    error_mm = np.array([[10, NAN, NAN], [20, 60, NAN], [NAN, NAN, NAN]])

    figures = error_summary(error_mm, ("a", "b", "c"))

    assert (figures["mean_mm"], figures["median_mm"]) == (30, 20)
    assert figures["per_joint_mm"] == {"a": 15, "b": 60, "c": None}
    assert figures["within_20mm"] == 0.5, "of the two frames with a label"
    assert figures["success_auc"] == pytest.approx(
        {"max_frame": (70 + 20) / 160, "mean_frame": (70 + 40) / 160, "joint": (70 + 60 + 20) / 240}
    )


@pytest.mark.parametrize("error_mm", [np.full((2, 3), NAN), np.zeros((0, 3))])
def test_without_any_label_there_are_no_figures(error_mm: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> None:
    with pytest.raises(DatasetError, match="has a labeled joint"):
        error_summary(error_mm, ("a", "b", "c"))


def test_a_hand_is_found_by_the_joints_that_have_a_label() -> None:
    hand_mm = np.array([[0, 0, 500], [10, 0, 500], [900, 0, 500]], np.float32)
    truth_mm = np.array([[3, 4, 500], [10, 0, 500], [NAN, NAN, NAN]], np.float32)

    found_mm, is_found = found_errors_mm(hand_mm, truth_mm)
    missed_mm, is_missed_found = found_errors_mm(hand_mm + 500, truth_mm)

    assert is_found and found_mm == pytest.approx([5, 0, NAN], nan_ok=True)
    assert not is_missed_found and missed_mm == pytest.approx([MISSED_MM, MISSED_MM, NAN], nan_ok=True)


def test_the_figures_of_a_bundle_leave_joints_without_a_label_out() -> None:
    error_mm = np.array([[10, NAN], [30, 20]])
    is_there = np.array([True, True])
    errors = FrameErrors(
        error_mm,
        error_mm + 1,
        error_mm + 2,
        np.full((2, 2), 15.0),
        np.isfinite(error_mm),
        is_there,
        np.full((2, 2), np.nan),
    )

    figures = pose_error_summary(errors, ("a", "b"))

    assert (figures["mean_mm"], figures["visible_mean_mm"], figures["raw_mean_mm"], figures["oracle_mean_mm"]) == (
        20,
        20,
        21,
        22,
    )
    deciles = figures["expected_error_deciles"]
    assert [one["true_mm"] for one in deciles] == [10, 30, 20]  # type: ignore[attr-defined]  # a list of dicts
