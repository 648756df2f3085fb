"""Fits the confidence tables: the expected error of a joint in mm, and the odds of a hand, independently of each other.

The input is estimates with known truth: hands only for the errors, hands and negatives for the odds. Applied in `confidence`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handmap.bundle.confidence import SIDE_LIMIT, ConfidenceTable, JointDoubt, Presence, Signals
from handmap.types.arrays import Bool, Float32, Float64

FAR_MM = 20.0  # a joint with a larger error should be flagged
TABLE_BINS = 32
TAIL_BINS = 8  # of these, for the most doubtful twentieth of all joints
NEWTON_STEPS = 30
RIDGE = 1e-3


class KnownLooks(NamedTuple):
    """Signals of N looks, log_spread, landed and peak each (N, J) and side (N,), and the error (N, J) in mm, NaN without a hand."""

    log_spread: Float32
    landed: Float32
    peak: Float32
    side: Float32
    error_mm: Float32


def gather_looks(signals: list[Signals], error_mm: list[Float32]) -> KnownLooks:
    """The estimates with their errors, each (J,) in mm, NaN without a hand."""
    side = np.array([one.right_logit for one in signals], np.float32)
    log_spread, landed, peak = (np.stack([one[at] for one in signals]) for at in range(3))
    return KnownLooks(log_spread, landed, peak, side, np.stack(error_mm).astype(np.float32))


def fit_confidence(looks: KnownLooks, outputs: set[str]) -> ConfidenceTable:
    """The table for a network with these outputs besides its joints; without maps and votes, the mean error of all joints.

    Presence is fitted if there are estimates of both hands and negatives.
    """
    is_hand: Bool = np.isfinite(looks.error_mm[:, 0])
    hands = KnownLooks(*(values[is_hand] for values in looks))
    presence = (
        _fit_presence(looks, is_hand, outputs) if outputs & {"guidance", "spread"} and not is_hand.all() else None
    )
    if "spread" in outputs:
        return ConfidenceTable(joint_doubt=fit_joint_doubt(hands), presence=presence)
    if "guidance" not in outputs:
        return ConfidenceTable((0.0,), (round(float(hands.error_mm.mean()), 3),), presence=presence)
    doubt, expected_mm = _fit_rising(-hands.landed.ravel(), hands.error_mm.ravel())
    return ConfidenceTable(tuple(-value for value in doubt[::-1]), expected_mm[::-1], presence=presence)


def fit_joint_doubt(hands: KnownLooks) -> JointDoubt:
    """Weights from logistic regression of "off by more than FAR_MM", and the mean error over bins of doubt, made monotonic."""
    columns = [hands.log_spread, hands.landed, hands.peak]
    columns += [np.broadcast_to(one.mean(axis=1, keepdims=True), one.shape) for one in (hands.log_spread, hands.peak)]
    features = np.stack([column.ravel() for column in columns], axis=1).astype(np.float64)
    _, weights = regress(features, hands.error_mm.ravel() > FAR_MM)
    weights = np.round(weights, 4)
    doubt, expected_mm = _fit_rising(features @ weights, hands.error_mm.ravel())
    return JointDoubt(doubt, expected_mm, *(float(weight) for weight in weights))


def _fit_presence(looks: KnownLooks, is_hand: Bool, outputs: set[str]) -> Presence:
    peak, spread = looks.peak.mean(axis=1), looks.log_spread.mean(axis=1)
    features = np.stack([peak, spread, np.minimum(np.abs(looks.side), SIDE_LIMIT)], axis=1).astype(np.float64)
    features *= ["guidance" in outputs, "spread" in outputs, "side" in outputs]  # constant features get no weight
    bias, weights = regress(features, is_hand)
    return Presence(round(bias, 4), *(round(float(weight), 4) for weight in weights))


def regress(features: Float64, is_so: Bool) -> tuple[float, Float64]:
    """Bias and weights (F,) of a logistic regression on features (N, F), by Newton's method; a constant feature gets the weight 0."""
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale < 1e-9, np.inf, scale)
    rows = np.column_stack([np.ones(len(features)), (features - mean) / scale])
    fit: Float64 = np.zeros(rows.shape[1])
    for _ in range(NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(rows @ fit, -30, 30)))
        slope = rows.T @ (is_so - chance) - RIDGE * fit
        bend = (rows * (chance * (1 - chance))[:, None]).T @ rows + RIDGE * np.eye(len(fit))
        step = np.linalg.solve(bend, slope)
        fit = fit + step
        if np.abs(step).max() < 1e-6:
            break
    weights: Float64 = fit[1:] / scale
    return float(fit[0] - weights @ mean), weights


def _fit_rising(doubt: Float32 | Float64, error_mm: Float32) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Increasing bin centers over doubt (M,), denser where it is large, and the mean error_mm (M,) per bin, made monotonic."""
    order = np.argsort(doubt, kind="stable")
    tail_start = len(order) - len(order) // 20
    parts = np.array_split(order[:tail_start], min(TABLE_BINS - TAIL_BINS, tail_start))
    parts += [part for part in np.array_split(order[tail_start:], TAIL_BINS) if len(part)]
    centers = np.array([doubt[part].mean() for part in parts])
    means = _rise(np.array([error_mm[part].mean() for part in parts], np.float64), np.array([len(p) for p in parts]))
    keep = np.append(np.diff(centers) > 1e-4, True)
    return tuple(round(float(c), 5) for c in centers[keep]), tuple(round(float(m), 3) for m in means[keep])


def _rise(values: Float64, counts: NDArray[np.int64]) -> Float64:
    """The nearest non-decreasing sequence in weighted least squares (pool adjacent violators)."""
    pools: list[tuple[float, int, int]] = []  # mean, weight, length
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        mean, weight, length = value, count, 1
        while pools and pools[-1][0] > mean:
            before, heavy, long = pools.pop()
            mean = (mean * weight + before * heavy) / (weight + heavy)
            weight, length = weight + heavy, length + long
        pools.append((mean, weight, length))
    return np.concatenate([np.full(length, mean) for mean, _, length in pools])
