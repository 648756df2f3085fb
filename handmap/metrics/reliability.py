"""Whether what a network says of its own errors is true: how well a score ranks, and what was expected beside what came."""

import numpy as np

from handmap.types.arrays import Bool, Float64

BINS = 10
BAD_JOINT_MM = 20.0  # a joint that is farther off should have been doubted


def reliability(expected_mm: Float64, error_mm: Float64) -> dict[str, object]:
    """Whether the expected errors of joints (N,) are true: how well they tell joints that are BAD_JOINT_MM off, and both by deciles."""
    return {
        "auroc_joint_20mm": auroc(expected_mm, error_mm > BAD_JOINT_MM),
        "expected_error_deciles": expected_error_bins(expected_mm, error_mm),
    }


def auroc(score: Float64, is_positive: Bool) -> float | None:
    """Area under the ROC curve of scores (N,): the chance that a positive's is above a negative's, ties for half; None if a class is empty."""
    positives = int(is_positive.sum())
    negatives = len(score) - positives
    if positives == 0 or negatives == 0:
        return None
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]  # from 1, the mean rank among ties
    # Mann and Whitney's U over the number of pairs.
    above = float(ranks[is_positive].sum()) - positives * (positives + 1) / 2
    return above / (positives * negatives)


def expected_error_bins(expected_mm: Float64, error_mm: Float64, bins: int = BINS) -> list[dict[str, float]]:
    """Mean expected and true error in mm of joints (N,), in bins of equal count by what was expected, the least first; fewer if N is."""
    order = np.argsort(expected_mm, kind="stable")
    return [
        {"expected_mm": float(expected_mm[part].mean()), "true_mm": float(error_mm[part].mean())}
        for part in np.array_split(order, bins)
        if len(part)
    ]
