"""The report's metrics, computed from a comparison: per joint, by distance, bone lengths, worst frames."""

from typing import Final

import numpy as np

from handmap.bundle.gate import Gate
from handmap.bundle.manifest import Bundle
from handmap.metrics.reliability import reliability
from handmap.recording.datasets import labeled_joints
from handmap.types.arrays import Bool, Float64
from handmap.types.joints import BONES, HAND21

from .compare import Comparison
from .gate import differences, judge_labeled, judge_unlabeled

BANDS_MM: Final = ((0, 300), (300, 450), (450, 600), (600, 800), (800, 10000))
WORST: Final = 20
POOR_MM: Final = 15.0  # a network with a larger mean error is not worth quantizing; the shipped one has half of this


def away_mm(comparison: Comparison, precision: str) -> Float64:
    """Distances (N, J) in mm from the FP32 joints on the same crops."""
    away: Float64 = np.linalg.norm(comparison.xyz_mm[precision] - comparison.xyz_mm["fp32"], axis=-1).astype(np.float64)
    return away


def judge_gate(comparison: Comparison, precision: str) -> Gate:
    """The gate's result for a precision, by labels if every frame has them."""
    if comparison.found_error_mm:
        errors, found = comparison.found_error_mm, comparison.is_found
        return judge_labeled((errors[precision], errors["fp32"]), (found[precision], found["fp32"]), comparison.dataset)
    return judge_unlabeled(away_mm(comparison, precision), comparison.dataset)


def fp32_worth(comparison: Comparison) -> dict[str, float | bool | None]:
    """The accuracy of FP32 itself: its mean error in mm over all frames, and whether that is poor; both None without labels.

    The gate only compares with FP32: an untrained network loses nothing in INT8.
    """
    error_mm = comparison.found_error_mm.get("fp32")
    if error_mm is None:
        return {"fp32_mean_mm": None, "is_fp32_poor": None}
    known_mm = labeled(error_mm)
    mean_mm = float(known_mm.mean()) if known_mm.size else float("nan")
    # Not >=: a NaN mean is poor too.
    return {"fp32_mean_mm": round(mean_mm, 4), "is_fp32_poor": not mean_mm < POOR_MM}


def found_reliability(comparison: Comparison, precision: str) -> dict[str, object]:
    """How reliable the expected errors are, over the joints of the hands that were found."""
    found = comparison.is_found[precision]
    expected_mm, error_mm = (
        values[precision][found].ravel() for values in (comparison.expected_error_mm, comparison.found_error_mm)
    )
    is_labeled = np.isfinite(error_mm)
    return reliability(expected_mm[is_labeled], error_mm[is_labeled])


def labeled(error_mm: Float64) -> Float64:
    """The errors (K,) of the joints that have a label, of errors against ground truth (...) that are NaN for the others."""
    known: Float64 = error_mm[np.isfinite(error_mm)]
    return known


def statistics(error_mm: Float64) -> dict[str, float]:
    """Mean, median, 95th percentile and largest of errors in mm."""
    if error_mm.size == 0:
        return {}
    values = {
        "mean": error_mm.mean(),
        "p50": np.median(error_mm),
        "p95": np.percentile(error_mm, 95),
        "max": error_mm.max(),
    }
    return {name: round(float(value), 4) for name, value in values.items()}


def precision_figures(comparison: Comparison, precision: str, bundle: Bundle) -> dict[str, object]:
    """All metrics of one precision."""
    names = bundle.hand.joint_names
    away = away_mm(comparison, precision)
    figures: dict[str, object] = {
        "away_from_fp32_mm": statistics(away),
        "away_by_joint_mm": {name: statistics(away[:, index]) for index, name in enumerate(names)},
        "away_by_distance_mm": by_distance(away, comparison.distance_mm, np.ones(away.shape, bool)),
        "rest_jitter_mm": comparison.rest_jitter_mm.get(precision),
    }
    if names == HAND21:
        figures["bone_drift_mm"] = bone_drift(comparison, precision)
    if comparison.found_error_mm:
        error = comparison.found_error_mm[precision]
        figures["error_mm"] = statistics(labeled(error))
        figures["error_by_joint_mm"] = {
            name: statistics(labeled(error[:, index]))
            for index, name in enumerate(names)
            if np.isfinite(error[:, index]).any()
        }
        figures["reliability"] = found_reliability(comparison, precision)
        figures["found"] = float(comparison.is_found[precision].mean())
        both = comparison.is_found[precision] & comparison.is_found["fp32"]
        mean_mm, p95_mm = differences(error[both], comparison.found_error_mm["fp32"][both])
        figures["above_fp32_where_both_find_mm"] = {"mean": mean_mm, "p95": p95_mm, "frames": int(both.sum())}
        on_crop = np.linalg.norm(comparison.xyz_mm[precision] - comparison.truth_mm, axis=-1)
        figures["error_by_distance_mm"] = by_distance(
            on_crop, comparison.distance_mm, labeled_joints(comparison.truth_mm)
        )
    return figures


def by_distance(error_mm: Float64, distance_mm: Float64, is_known: Bool) -> dict[str, dict[str, float]]:
    """Statistics of errors (N, J), where they are known, for each band of the hand's distance that has frames."""
    bands = {}
    for low, high in BANDS_MM:
        inside = (distance_mm >= low) & (distance_mm < high)
        if inside.any():
            bands[f"{low}-{high} mm"] = {**statistics(error_mm[inside][is_known[inside]]), "frames": int(inside.sum())}
    return bands


def bone_drift(comparison: Comparison, precision: str) -> dict[str, float]:
    """Change of the bone lengths against FP32 in mm: mean absolute change, signed mean, and 95th percentile."""
    parents, children = (list(ends) for ends in zip(*BONES, strict=True))

    def lengths(name: str) -> Float64:
        xyz = comparison.xyz_mm[name]
        bones: Float64 = np.linalg.norm(xyz[:, children] - xyz[:, parents], axis=-1).astype(np.float64)
        return bones

    change = lengths(precision) - lengths("fp32")
    size = np.abs(change)
    drift = {"mean": size.mean(), "mean_signed": change.mean(), "p95": np.percentile(size, 95)}
    return {name: round(float(value), 4) for name, value in drift.items()}


def worst_frames(comparison: Comparison, precision: str) -> list[int]:
    """Indices of the crops on which a precision is farthest from FP32, worst first."""
    order = np.argsort(-away_mm(comparison, precision).mean(axis=1), kind="stable")
    return [int(index) for index in order[:WORST]]
