"""Reliability of expected errors: how well a score ranks, and expected against actual errors."""

import numpy as np

from handmap.types.arrays import Bool, Float64

BINS = 10
BAD_JOINT_MM = 20.0  # a joint with a larger error should have a large expected error


def reliability(expected_mm: Float64, error_mm: Float64) -> dict[str, object]:
    """How reliable the expected errors of joints (N,) are: AUROC for errors above BAD_JOINT_MM, and both errors by deciles."""
    return {
        "auroc_joint_20mm": auroc(expected_mm, error_mm > BAD_JOINT_MM),
        "expected_error_deciles": expected_error_bins(expected_mm, error_mm),
    }


def auroc(score: Float64, is_positive: Bool) -> float | None:
    """Area under the ROC curve of scores (N,): the probability that a positive scores above a negative, ties count half; None if a class is empty."""
    positives = int(is_positive.sum())
    negatives = len(score) - positives
    if positives == 0 or negatives == 0:
        return None
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]  # 1-based; ties get their mean rank
    # The Mann-Whitney U statistic over the number of pairs.
    above = float(ranks[is_positive].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


def expected_error_bins(expected_mm: Float64, error_mm: Float64, bins: int = BINS) -> list[dict[str, float]]:
    """Mean expected and true error in mm of joints (N,), in equal-count bins by increasing expected error; at most N bins."""
    order = np.argsort(expected_mm, kind="stable")
    return [
        {"expected_mm": float(expected_mm[part].mean()), "true_mm": float(error_mm[part].mean())}
        for part in np.array_split(order, bins)
        if len(part)
    ]
