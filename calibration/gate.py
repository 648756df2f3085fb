"""The gate: whether an INT8 graph may be used, by limits that the design states. No measuring here.

With labels, the errors over all frames are compared, each graph going its own way from the frame to the hand: a hand missed
counts 125 mm, and INT8 may not miss many more. On a few hundred frames that is noisy: which hands are missed decides the tail.
"""

from typing import Final

import numpy as np

from handmap.arrays import Bool, Float64
from handmap.bundle import Gate

# Beyond what FP32 itself is off; `found` is a share of all frames.
LABELLED_LIMITS: Final = {"mean": 0.5, "p95": 1.5, "found": 0.01}
# Away from the joints of the FP32 graph on the same crop.
UNLABELLED_LIMITS: Final = {"mean": 2.0, "p95": 4.0}


def judge_labelled(errors_mm: tuple[Float64, Float64], is_found: tuple[Bool, Bool], dataset: str) -> Gate:
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


def judge_unlabelled(away_mm: Float64, dataset: str) -> Gate:
    """By the distances (N, J) in mm between the INT8 joints and the FP32 joints."""
    mean_mm, p95_mm = float(away_mm.mean()), float(np.percentile(away_mm, 95))
    passed = is_within(mean_mm, p95_mm, UNLABELLED_LIMITS)
    return Gate(passed, "distance to FP32", mean_mm, p95_mm, dict(UNLABELLED_LIMITS), dataset, len(away_mm))


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
