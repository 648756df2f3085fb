"""Figures of joint errors (N, J) in mm, wherever they come from: MPJPE, percentiles, PCK and success curves.

An error is the Euclidean distance from the label. NaN is a joint without a label: it is left out, and a frame counts by the
joints that it has. What measures errors lives in `pose_error`.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from handmap.types.arrays import Float64
from handmap.types.errors import DatasetError

CurveKind = Literal["max_frame", "mean_frame", "joint"]

CURVES: Final[dict[CurveKind, str]] = {
    "max_frame": "frames whose largest joint error is within D",
    "mean_frame": "frames whose mean joint error is within D",
    "joint": "joints whose error is within D",
}
MAX_THRESHOLD_MM: Final = 80.0  # where the field's success curves end
STEP_MM: Final = 0.5
WITHIN_MM: Final = (20, 30, 40)


@dataclass(frozen=True)
class SuccessCurve:
    """Shares (T,) in [0, 1] of what is within thresholds_mm (T,), 0 to 80, and the area under the curve over 80 mm.

    The area is exact, not that of the samples: the mean of 1 - error / 80 mm, 0 for an error of more.
    """

    thresholds_mm: Float64
    shares: Float64
    auc: float


def success_curve(error_mm: Float64, kind: CurveKind) -> SuccessCurve:
    """The success curve of errors (N, J): the share of frames, or of single joints, within each threshold.

    Raises DatasetError where no joint has a label.
    """
    values = np.sort(_curve_values(error_mm, kind))
    thresholds: Float64 = np.arange(0.0, MAX_THRESHOLD_MM + STEP_MM / 2, STEP_MM, dtype=np.float64)
    shares = np.searchsorted(values, thresholds, side="right") / len(values)
    return SuccessCurve(thresholds, shares, float(np.clip(1 - values / MAX_THRESHOLD_MM, 0, 1).mean()))


def error_summary(error_mm: Float64, joint_names: tuple[str, ...]) -> dict[str, object]:
    """The figures of errors (N, J), as `handmap evaluate --json` prints them.

    `mean_mm` is the MPJPE; `within_*` is the share of frames whose largest error is that small; `worst_joint_mean_mm` is the
    largest of the means per joint; median and percentile are over all joints of all frames.
    Raises DatasetError where no joint has a label.
    """
    labeled, worst = _curve_values(error_mm, "joint"), _curve_values(error_mm, "max_frame")
    per_joint = {
        name: float(column[np.isfinite(column)].mean()) if np.isfinite(column).any() else None
        for name, column in zip(joint_names, error_mm.T, strict=True)
    }
    means = {name: mean for name, mean in per_joint.items() if mean is not None}
    worst_joint = max(means, key=lambda name: means[name])
    return {
        "mean_mm": float(labeled.mean()),
        "median_mm": float(np.median(labeled)),
        "p95_mm": float(np.percentile(labeled, 95)),
        "per_joint_mm": per_joint,
        "worst_joint": worst_joint,
        "worst_joint_mean_mm": means[worst_joint],
        **{f"within_{limit}mm": float((worst <= limit).mean()) for limit in WITHIN_MM},
        "success_auc": {kind: success_curve(error_mm, kind).auc for kind in CURVES},
        "frames": len(error_mm),
    }


def _curve_values(error_mm: Float64, kind: CurveKind) -> Float64:
    """What a curve counts: the largest or mean error (M,) of each frame that has a label, or each labeled joint's error."""
    is_labeled = np.isfinite(error_mm)
    if not is_labeled.any():
        raise DatasetError(
            f"scoring: none of the {len(error_mm)} frames has a labeled joint; give a data set with labels"
        )
    if kind == "joint":
        each: Float64 = error_mm[is_labeled]
        return each
    frames = error_mm[is_labeled.any(axis=1)]
    values: Float64 = np.nanmax(frames, axis=1) if kind == "max_frame" else np.nanmean(frames, axis=1)
    return values
