"""How well a score ranks, and expected beside true errors."""

import numpy as np
import pytest

from handmap.metrics.reliability import auroc, expected_error_bins


def test_auroc_counts_pairs_and_ties_for_half() -> None:
    random = np.random.default_rng(3)
    score = random.integers(0, 6, 60).astype(np.float64)
    is_positive = random.uniform(size=60) < 0.4
    pairs = score[is_positive][:, None] - score[~is_positive]

    expected = float(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert auroc(score, is_positive) == pytest.approx(expected, abs=1e-12)


def test_auroc_of_a_perfect_a_reversed_and_a_constant_score() -> None:
    is_positive = np.array([False, True, False, True])

    assert auroc(np.array([0.1, 0.8, 0.2, 0.9]), is_positive) == 1
    assert auroc(np.array([0.9, 0.1, 0.8, 0.2]), is_positive) == 0
    assert auroc(np.ones(4), is_positive) == 0.5


@pytest.mark.parametrize("is_positive", [[True, True], [False, False], []])
def test_auroc_of_one_class_is_none(is_positive: list[bool]) -> None:
    assert auroc(np.arange(len(is_positive), dtype=np.float64), np.array(is_positive, bool)) is None


def test_bins_rise_by_what_was_expected_and_hold_all() -> None:
    random = np.random.default_rng(4)
    expected = random.uniform(2, 40, 1000)
    error = expected * random.uniform(0.5, 1.5, 1000)

    bins = expected_error_bins(expected, error)

    assert len(bins) == 10
    assert [one["expected_mm"] for one in bins] == sorted(one["expected_mm"] for one in bins)
    assert np.mean([one["true_mm"] for one in bins]) == pytest.approx(error.mean())
    assert all(one["true_mm"] == pytest.approx(one["expected_mm"], rel=0.15) for one in bins)


def test_fewer_joints_than_bins_make_fewer_bins() -> None:
    assert expected_error_bins(np.array([3.0, 1.0]), np.array([4.0, 2.0])) == [
        {"expected_mm": 1.0, "true_mm": 2.0},
        {"expected_mm": 3.0, "true_mm": 4.0},
    ]
    assert expected_error_bins(np.empty(0), np.empty(0)) == []
