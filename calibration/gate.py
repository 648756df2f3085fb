"""The gate: whether an INT8 graph may be used, by limits that the design states. No measuring here.

With labels, the errors over all frames are compared, each graph going its own way from the frame to the hand: a hand missed
counts 125 mm, and INT8 may not miss many more. On a few hundred frames that is noisy: which hands are missed decides the tail.
"""

from typing import Final

import numpy as np

from handmap.bundle.manifest import Gate
from handmap.types.arrays import Bool, Float64

# Beyond what FP32 itself is off; `found` is a share of all frames.
LABELLED_LIMITS: Final = {"mean": 0.5, "p95": 1.5, "found": 0.01}
# Away from the joints of the FP32 graph on the same crop.
UNLABELLED_LIMITS: Final = {"mean": 2.0, "p95": 4.0}
# Of the palm graph: shares of all frames, and of FP32's reports. Its places are looked into again, so how far they move does not decide.
LABELLED_PALM_LIMITS: Final = {"found": 0.01}
UNLABELLED_PALM_LIMITS: Final = {"found": 0.03, "extra": 0.05}
LOST_MM: Final = 90.0  # as far as a report may lie from a hand and still be of it


def judge_labeled(errors_mm: tuple[Float64, Float64], is_found: tuple[Bool, Bool], dataset: str) -> Gate:
    """By the errors (N, J) in mm against the truth of INT8 and of FP32, and which frames (N,) each found the hand in."""
    int8_mm, fp32_mm = errors_mm
    drop = (int(is_found[1].sum()) - int(is_found[0].sum())) / max(len(is_found[0]), 1)
    mean_mm, p95_mm = differences(int8_mm, fp32_mm)
    passed = is_within(mean_mm, p95_mm, LABELLED_LIMITS) and drop <= LABELLED_LIMITS["found"]
    return Gate(passed, "labels", mean_mm, p95_mm, dict(LABELLED_LIMITS), dataset, len(int8_mm), drop)


def differences(int8_mm: Float64, fp32_mm: Float64) -> tuple[float, float]:
    """How far the mean and the 95th percentile of INT8's errors (N, J) in mm are above FP32's; NaN of no errors."""
    if not int8_mm.size:
        return float("nan"), float("nan")
    return float(int8_mm.mean() - fp32_mm.mean()), float(np.percentile(int8_mm, 95) - np.percentile(fp32_mm, 95))


def judge_unlabeled(away_mm: Float64, dataset: str) -> Gate:
    """By the distances (N, J) in mm between the INT8 joints and the FP32 joints."""
    mean_mm, p95_mm = float(away_mm.mean()), float(np.percentile(away_mm, 95))
    passed = is_within(mean_mm, p95_mm, UNLABELLED_LIMITS)
    return Gate(passed, "distance to FP32", mean_mm, p95_mm, dict(UNLABELLED_LIMITS), dataset, len(away_mm))


def judge_labeled_palms(away_mm: Float64, is_found: tuple[Bool, Bool], extra: float, dataset: str) -> Gate:
    """By the frames (N,) in which INT8 and FP32 each report the hand; a graph that FP32 finds nothing with does not pass.

    away_mm (K,) is how far each of FP32's reports lies from INT8's, a lost one counting LOST_MM; extra the share of reports beyond FP32's.
    """
    int8, fp32 = (int(found.sum()) for found in is_found)
    drop = (fp32 - int8) / max(len(is_found[0]), 1)
    passed = fp32 > 0 and drop <= LABELLED_PALM_LIMITS["found"]
    mean_mm, p95_mm = float(away_mm.mean()), float(np.percentile(away_mm, 95))
    limits = dict(LABELLED_PALM_LIMITS)
    return Gate(passed, "labels", mean_mm, p95_mm, limits, dataset, len(is_found[0]), drop, extra)


def judge_unlabeled_palms(away_mm: Float64, lost: float, extra: float, dataset: str, frames: int) -> Gate:
    """By the shares of FP32's reports that INT8 lost, and has beyond them; away_mm (K,) as with labels."""
    passed = lost <= UNLABELLED_PALM_LIMITS["found"] and extra <= UNLABELLED_PALM_LIMITS["extra"]
    mean_mm, p95_mm = float(away_mm.mean()), float(np.percentile(away_mm, 95))
    return Gate(passed, "reports of FP32", mean_mm, p95_mm, dict(UNLABELLED_PALM_LIMITS), dataset, frames, lost, extra)


def is_within(mean_mm: float, p95_mm: float, limits: dict[str, float], margin: float = 1.0) -> bool:
    """Whether mean and 95th percentile are within this share of the limits; never for NaN."""
    return mean_mm <= margin * limits["mean"] and p95_mm <= margin * limits["p95"]


def explain(gate: Gate) -> str:
    """The verdict in a line."""
    verdict = "passed" if gate.passed else "FAILED"
    found = (
        f", {gate.found_drop:+.2%} hands missed (at most {gate.limits['found']:.1%})" if "found" in gate.limits else ""
    )
    return (
        f"gate {verdict} by {gate.kind} on {gate.dataset}, {gate.frames} frames: mean {gate.mean_mm:+.3f} mm "
        f"(at most {gate.limits['mean']}), p95 {gate.p95_mm:+.3f} mm (at most {gate.limits['p95']}){found}"
    )


def explain_fp32(mean_mm: float | None, is_poor: bool | None, dataset: str) -> str:
    """What FP32 itself is worth, in a line."""
    if mean_mm is None:
        return f"fp32 itself: not known, {dataset} has no labels; name labeled data, such as synthetic:val"
    verdict = ", POOR: what the gate says of INT8 is worth no more than that" if is_poor else ""
    return f"fp32 itself: {mean_mm:.1f} mm from the truth in the mean{verdict}"


def explain_palms(gate: Gate) -> str:
    """The verdict on a palm graph in a line."""
    verdict = "passed" if gate.passed else "FAILED"
    what = "hands missed" if gate.kind == "labels" else "of FP32's reports lost"
    limit = f" (at most {gate.limits['extra']:.1%})" if "extra" in gate.limits else ""
    return (
        f"palm gate {verdict} by {gate.kind} on {gate.dataset}, {gate.frames} frames: {gate.found_drop:+.2%} {what} "
        f"(at most {gate.limits['found']:.1%}), {gate.extra:.2%} reports beyond FP32's{limit}, {gate.mean_mm:.1f} mm from FP32's in the mean "
        f"(a lost one counts {LOST_MM:.0f})"
    )
