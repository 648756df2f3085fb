"""The detections of each precision of the palm graph on the same frames, compared with FP32's and with ground truth."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from handmap.bundle.gate import Gate
from handmap.bundle.manifest import PRECISIONS, Bundle
from handmap.engines.onnx_engine import open_onnx_palm_engine
from handmap.tracking.detector import MAX_DETECTIONS
from handmap.tracking.palm_detector import decode_detections
from handmap.types.arrays import Bool, Float32, Float64

from .detector_inputs import DetectorInputs
from .gate import LOST_MM, judge_labeled_palms, judge_unlabeled_palms

SAME_LATERAL_MM: Final = 30.0
SAME_DEPTH: Final = 0.08  # fraction of the depth: the graph estimates size, and thus depth, least accurately
DETECTION_MATCH_MM: Final = (
    90.0  # a detection this close to the center of a hand's cube matches that hand, as in training
)


@dataclass(frozen=True)
class Difference:
    """One precision against FP32: the number of detections, lost and extra ones, and distances (K,) in mm of those in both."""

    reports: int
    lost: int
    extra: int
    away_mm: Float64


@dataclass(frozen=True)
class PalmComparison:
    """Centers (K, 3) in mm, by descending score, that each precision detects in the same N frames; truth (N, 3), NaN if unknown."""

    dataset: str
    reports: dict[str, list[Float32]]
    truth_mm: Float32
    has_truth: bool

    def difference(self, precision: str) -> Difference:
        """Of all frames."""
        ours, theirs = self.reports[precision], self.reports["fp32"]
        pairs = [match(mine, reference) for mine, reference in zip(ours, theirs, strict=True)]
        away = [
            float(np.linalg.norm(ours[index][mine] - theirs[index][other]))
            for index, found in enumerate(pairs)
            for mine, other in found
        ]
        of_fp32, of_ours = (sum(len(one) for one in reports) for reports in (theirs, ours))
        return Difference(of_ours, of_fp32 - len(away), of_ours - len(away), np.array(away, np.float64))

    def is_found(self, precision: str) -> Bool:
        """Whether the labeled hand of each frame (N,) is near a detection."""
        return np.array(
            [
                bool((np.linalg.norm(one - truth, axis=-1) <= DETECTION_MATCH_MM).any())
                for one, truth in zip(self.reports[precision], self.truth_mm, strict=True)
            ]
        )


def compare_palms(bundle: Bundle, dataset: str, pictures: DetectorInputs) -> PalmComparison | None:
    """The comparison of all precisions of the palm graph, opened as in the daemon; None without a palm graph or frames."""
    if bundle.palm is None or not len(pictures):
        return None
    min_score = bundle.palm.min_score
    reports: dict[str, list[Float32]] = {
        name: _reports(bundle.graph_path("palm", name), name, pictures, min_score)
        for name in PRECISIONS  # FP32 first: the reference
        if name in bundle.palm.precisions
    }
    return PalmComparison(dataset, reports, pictures.center_mm, pictures.has_truth)


def match(ours_mm: Float32, theirs_mm: Float32) -> list[tuple[int, int]]:
    """Matches our centers (K, 3) with theirs (L, 3), one to one, nearest pairs first."""
    away_mm = np.linalg.norm(ours_mm[:, None] - theirs_mm[None], axis=-1)
    pairs = sorted(product(range(len(ours_mm)), range(len(theirs_mm))), key=lambda pair: float(away_mm[pair]))
    taken: list[tuple[int, int]] = []
    for mine, other in pairs:
        is_free = all(mine != one and other != another for one, another in taken)
        if is_free and _is_same(ours_mm[mine], theirs_mm[other]):
            taken.append((mine, other))
    return taken


def judge_palms(comparison: PalmComparison, precision: str) -> Gate | None:
    """The gate's result, by labels if every frame has one; None if FP32 detects nothing."""
    difference = comparison.difference(precision)
    wanted = difference.lost + len(difference.away_mm)
    if not wanted:
        return None
    away_mm = np.append(difference.away_mm, np.full(difference.lost, LOST_MM))
    extra, frames = difference.extra / wanted, len(comparison.truth_mm)
    if comparison.has_truth:
        found = (comparison.is_found(precision), comparison.is_found("fp32"))
        return judge_labeled_palms(away_mm, found, extra, comparison.dataset)
    return judge_unlabeled_palms(away_mm, difference.lost / wanted, extra, comparison.dataset, frames)


def palm_figures(comparison: PalmComparison) -> dict[str, Any]:
    """The report's metrics for the palm graph."""
    gates = {name: judge_palms(comparison, name) for name in comparison.reports if name != "fp32"}
    return {
        "pictures": len(comparison.truth_mm),
        "precisions": {name: _figures(comparison, name) for name in comparison.reports},
        "gates": {name: msgspec.to_builtins(gate) for name, gate in gates.items() if gate is not None},
    }


def _figures(comparison: PalmComparison, precision: str) -> dict[str, float | int | None]:
    one = comparison.difference(precision)
    wanted, has_any = one.lost + len(one.away_mm), len(one.away_mm) > 0
    return {
        "reports": one.reports,
        "kept": round(1 - one.lost / wanted, 4) if wanted else None,
        "extra": round(one.extra / wanted, 4) if wanted else None,
        "median_mm": round(float(np.median(one.away_mm)), 3) if has_any else None,
        "p95_mm": round(float(np.percentile(one.away_mm, 95)), 3) if has_any else None,
        "found": round(float(comparison.is_found(precision).mean()), 4) if comparison.has_truth else None,
    }


def _reports(path: Path, precision: str, pictures: DetectorInputs, min_score: float) -> list[Float32]:
    engine = open_onnx_palm_engine(path, 1, precision)
    try:
        found = [
            decode_detections(engine.infer(small), pictures.intrinsics_of(index), min_score, MAX_DETECTIONS)
            for index, small in enumerate(pictures.depth_small[:, 0])
        ]
    finally:
        engine.close()
    return [np.array([one.center_mm for one in each], np.float32).reshape(-1, 3) for each in found]


def _is_same(ours_mm: Float32, theirs_mm: Float32) -> bool:
    apart = np.abs(ours_mm - theirs_mm)
    return float(np.hypot(apart[0], apart[1])) <= SAME_LATERAL_MM and float(apart[2]) <= SAME_DEPTH * float(
        theirs_mm[2]
    )
