"""The accuracy gate: decides whether an INT8 graph may be used. Measurement is elsewhere.

With labels it compares errors over all frames, with each graph running its own detection: a missed hand counts as 125 mm,
and INT8 must not miss many more. On a few hundred frames this is noisy, because a few missed hands dominate the tail.
"""

from typing import Final

import numpy as np

from handmap.bundle.gate import Gate
from handmap.types.arrays import Bool, Float64

# INT8 gate with labels: limits of the error above FP32's, mm; `found` is a fraction of all frames.
LABELED_LIMITS: Final = {"mean": 0.5, "p95": 1.5, "found": 0.01}
# INT8 gate without labels: limits of the distance from the FP32 joints on the same crop, mm.
UNLABELED_LIMITS: Final = {"mean": 2.0, "p95": 4.0}
# Palm graph: fractions of all frames, and of FP32's detections. The hand network refines positions, so they have no limit.
LABELED_PALM_LIMITS: Final = {"found": 0.01}
UNLABELED_PALM_LIMITS: Final = {"found": 0.03, "extra": 0.05}
LOST_MM: Final = 90.0  # maximum distance of a detection from the hand that it matches


def judge_labeled(errors_mm: tuple[Float64, Float64], is_found: tuple[Bool, Bool], dataset: str) -> Gate:
    """The gate from the errors (N, J) in mm of INT8 and of FP32 against ground truth, and the frames (N,) in which each found the hand."""
    int8_mm, fp32_mm = errors_mm
    drop = (int(is_found[1].sum()) - int(is_found[0].sum())) / max(len(is_found[0]), 1)
    mean_mm, p95_mm = differences(int8_mm, fp32_mm)
    passed = is_within(mean_mm, p95_mm, LABELED_LIMITS) and drop <= LABELED_LIMITS["found"]
    return Gate(passed, "labels", mean_mm, p95_mm, dict(LABELED_LIMITS), dataset, len(int8_mm), drop)


def differences(int8_mm: Float64, fp32_mm: Float64) -> tuple[float, float]:
    """How much the mean and 95th percentile of INT8's errors (N, J) exceed FP32's, in mm; NaN if there are no errors.

    Joints without a label, for which FP32's error is NaN, are left out.
    """
    is_labeled = np.isfinite(fp32_mm)
    int8_mm, fp32_mm = int8_mm[is_labeled], fp32_mm[is_labeled]
    if not int8_mm.size:
        return float("nan"), float("nan")
    return float(int8_mm.mean() - fp32_mm.mean()), float(np.percentile(int8_mm, 95) - np.percentile(fp32_mm, 95))


def judge_unlabeled(away_mm: Float64, dataset: str) -> Gate:
    """The gate from the distances (N, J) in mm between INT8 and FP32 joints."""
    mean_mm, p95_mm = float(away_mm.mean()), float(np.percentile(away_mm, 95))
    passed = is_within(mean_mm, p95_mm, UNLABELED_LIMITS)
    return Gate(passed, "distance to FP32", mean_mm, p95_mm, dict(UNLABELED_LIMITS), dataset, len(away_mm))


def judge_labeled_palms(away_mm: Float64, is_found: tuple[Bool, Bool], extra: float, dataset: str) -> Gate:
    """The palm gate from the frames (N,) in which INT8 and FP32 each detect the hand; it fails if FP32 detects nothing.

    away_mm (K,) is the distance of each FP32 detection from INT8's, LOST_MM if lost; extra is the number of INT8 detections
    that FP32 does not have, as a fraction of FP32's.
    """
    int8, fp32 = (int(found.sum()) for found in is_found)
    drop = (fp32 - int8) / max(len(is_found[0]), 1)
    passed = fp32 > 0 and drop <= LABELED_PALM_LIMITS["found"]
    mean_mm, p95_mm = float(away_mm.mean()), float(np.percentile(away_mm, 95))
    limits = dict(LABELED_PALM_LIMITS)
    return Gate(passed, "labels", mean_mm, p95_mm, limits, dataset, len(is_found[0]), drop, extra)


def judge_unlabeled_palms(away_mm: Float64, lost: float, extra: float, dataset: str, frames: int) -> Gate:
    """The palm gate from the fractions of FP32's detections that INT8 lost or added; away_mm (K,) as with labels."""
    passed = lost <= UNLABELED_PALM_LIMITS["found"] and extra <= UNLABELED_PALM_LIMITS["extra"]
    mean_mm, p95_mm = float(away_mm.mean()), float(np.percentile(away_mm, 95))
    return Gate(passed, "reports of FP32", mean_mm, p95_mm, dict(UNLABELED_PALM_LIMITS), dataset, frames, lost, extra)


def is_within(mean_mm: float, p95_mm: float, limits: dict[str, float], margin: float = 1.0) -> bool:
    """Whether mean and 95th percentile are within this fraction of the limits; False for NaN."""
    return mean_mm <= margin * limits["mean"] and p95_mm <= margin * limits["p95"]


def explain(gate: Gate) -> str:
    """The result in one line."""
    verdict = "passed" if gate.passed else "FAILED"
    found = (
        f", {gate.found_drop:+.2%} hands missed (at most {gate.limits['found']:.1%})" if "found" in gate.limits else ""
    )
    return (
        f"gate {verdict} by {gate.kind} on {gate.dataset}, {gate.frames} frames: mean {gate.mean_mm:+.3f} mm "
        f"(at most {gate.limits['mean']}), p95 {gate.p95_mm:+.3f} mm (at most {gate.limits['p95']}){found}"
    )


def explain_fp32(mean_mm: float | None, is_poor: bool | None, dataset: str) -> str:
    """The accuracy of FP32 itself, in one line."""
    if mean_mm is None:
        return (
            f"fp32 itself: accuracy unknown, because {dataset} has no labels; use labeled data, such as synthetic:val"
        )
    verdict = ", POOR: the gate compares INT8 only with this network" if is_poor else ""
    return f"fp32 itself: mean error {mean_mm:.1f} mm{verdict}"


def explain_palms(gate: Gate) -> str:
    """The result for a palm graph in one line."""
    verdict = "passed" if gate.passed else "FAILED"
    what = "hands missed" if gate.kind == "labels" else "of FP32's detections lost"
    limit = f" (at most {gate.limits['extra']:.1%})" if "extra" in gate.limits else ""
    return (
        f"palm gate {verdict} by {gate.kind} on {gate.dataset}, {gate.frames} frames: {gate.found_drop:+.2%} {what} "
        f"(at most {gate.limits['found']:.1%}), {gate.extra:.2%} extra detections{limit}, mean distance from FP32's {gate.mean_mm:.1f} mm "
        f"(a lost one counts as {LOST_MM:.0f} mm)"
    )
