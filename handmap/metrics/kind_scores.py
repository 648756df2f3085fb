"""Scores by kind of frame, including negatives: what is detected and published for still frames, each shown a few times."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from handmap.engines.engine import Engines
from handmap.metrics.pose_error import found_errors_mm, joint_errors_mm, mpjpe_mm, oracle_roi, present
from handmap.metrics.reliability import auroc, reliability
from handmap.recording.datasets import KindFrame, LabeledFrame
from handmap.system.timing import StageClock
from handmap.tracking.detector import Search, detect_hands, run_palm_detector
from handmap.tracking.pose_estimate import estimate_poses
from handmap.tracking.tracker_settings import TrackerSettings
from handmap.types.arrays import Bool, Float64
from handmap.types.values import DepthFrame, Handedness, HandPose


@dataclass(frozen=True)
class HandResult:
    """One frame with a hand: errors and expected errors (J,) in mm of the published hand, and the error with the label's cube.

    is_handedness_right is None if no true hand was found; confidence is that of the estimate in the label's cube.
    """

    kind: str
    error_mm: Float64
    oracle_error_mm: Float64
    expected_error_mm: Float64
    is_visible: Bool
    is_found: bool
    is_right: bool
    is_handedness_right: bool | None
    confidence: float


@dataclass(frozen=True)
class EmptyResult:
    """One frame without a hand: the highest published confidence, None if nothing was published, and that of the best candidate."""

    kind: str
    published: float | None
    confidence: float


KindResult = HandResult | EmptyResult


def score_frames(
    frames: Iterable[KindFrame], engines: Engines, settings: TrackerSettings, presentations: int
) -> Iterator[KindResult]:
    """The result of each frame on its own; nothing is taken from its label."""
    for shown in frames:
        poses, _ = present(shown.frame, engines, settings, presentations)
        if shown.hands:
            yield _score_hand(shown, poses, engines, settings)
        else:
            published = max((pose.confidence for pose in poses), default=None)
            yield EmptyResult(shown.kind, published, _likeliest(shown.frame, engines, settings))


def kind_summary(results: list[KindResult]) -> dict[str, object]:
    """The figures of `handmap evaluate --json` for a set that is scored by kind."""
    kinds = list(dict.fromkeys(result.kind for result in results))
    hands = [result for result in results if isinstance(result, HandResult)]
    empty = [result for result in results if isinstance(result, EmptyResult)]
    found = [hand for hand in hands if hand.is_found]
    expected = np.array([hand.expected_error_mm for hand in found]).ravel()
    errors = np.array([hand.error_mm for hand in found]).ravel()
    is_labeled = np.isfinite(errors)
    confidence = np.array([*(hand.confidence for hand in hands), *(result.confidence for result in empty)])
    return {
        **(_hand_figures(hands) if hands else {}),
        "published_without_hand": _published(empty),
        **reliability(expected[is_labeled], errors[is_labeled]),
        "auroc_hand": auroc(confidence, np.arange(len(confidence)) < len(hands)),
        "frames": len(results),
        "by_kind": {kind: _figures([result for result in results if result.kind == kind]) for kind in kinds},
    }


def _score_hand(shown: KindFrame, poses: list[HandPose], engines: Engines, settings: TrackerSettings) -> HandResult:
    """Scores against the true hand nearest to a published one, or against the frame's own hand if none was published."""
    own = shown.hands[0]
    pairs = list(itertools.product(poses, shown.hands))
    pose, truth = min(pairs, key=_apart_mm) if pairs else (None, own)
    error_mm, is_found = found_errors_mm(pose.xyz_camera_mm if pose else None, truth.xyz_camera_mm)
    is_handedness_right = pose.handedness is truth.handedness if pose is not None and is_found else None
    expected = pose.expected_error_mm if pose else np.zeros(len(error_mm))
    oracle_mm, confidence = _look_at(own, engines, settings)
    return HandResult(
        shown.kind, error_mm, oracle_mm, np.asarray(expected, np.float64), truth.is_visible, is_found,
        truth.handedness is Handedness.RIGHT, is_handedness_right, confidence,
    )  # fmt: skip


def _apart_mm(pair: tuple[HandPose, LabeledFrame]) -> float:
    pose, truth = pair
    return mpjpe_mm(pose.xyz_camera_mm, truth.xyz_camera_mm)


def _look_at(truth: LabeledFrame, engines: Engines, settings: TrackerSettings) -> tuple[Float64, float]:
    """Error (J,) in mm and confidence of the estimate in the label's cube, mirrored as the label states."""
    (seen,) = estimate_poses(truth.frame, [oracle_roi(truth, settings)], engines.hand, settings, StageClock())
    return joint_errors_mm(seen.xyz_camera_mm, truth.xyz_camera_mm), seen.confidence


def _likeliest(frame: DepthFrame, engines: Engines, settings: TrackerSettings) -> float:
    """Confidence of the best candidate from palm graph and geometry, regardless of the publishing threshold; 0 if there is none."""
    asked, clock = replace(settings, assume_hand_present=True, min_confidence=0.0), StageClock()
    found = detect_hands(Search(frame, run_palm_detector(frame, engines, asked), engines, asked, clock), []).hands
    return max((seen.confidence for seen in found), default=0.0)


def _figures(results: list[KindResult]) -> dict[str, object]:
    """The figures of one kind."""
    hands = [result for result in results if isinstance(result, HandResult)]
    if hands:
        return {**_hand_figures(hands), "frames": len(hands)}
    empty = [result for result in results if isinstance(result, EmptyResult)]
    worst = max((result.published for result in empty if result.published is not None), default=None)
    return {"published": _published(empty), "worst_confidence": worst, "frames": len(empty)}


def _hand_figures(hands: list[HandResult]) -> dict[str, object]:
    error = np.array([hand.error_mm for hand in hands])
    is_labeled = np.isfinite(error)
    is_visible = np.array([hand.is_visible for hand in hands], dtype=bool) & is_labeled
    oracle = np.array([hand.oracle_error_mm for hand in hands])
    return {
        "found": float(np.mean([hand.is_found for hand in hands])),
        "mean_mm": float(error[is_labeled].mean()),
        "visible_mean_mm": float(error[is_visible].mean()) if is_visible.any() else None,
        "oracle_mean_mm": float(oracle[np.isfinite(oracle)].mean()),
        "side_right": _handedness_share(hands, is_right=True),
        "side_left": _handedness_share(hands, is_right=False),
    }


def _handedness_share(hands: list[HandResult], is_right: bool) -> float | None:
    """The share of found left or right hands with the correct handedness."""
    told = [
        hand.is_handedness_right for hand in hands if hand.is_right is is_right and hand.is_handedness_right is not None
    ]
    return float(np.mean(told)) if told else None


def _published(empty: list[EmptyResult]) -> float | None:
    return float(np.mean([result.published is not None for result in empty])) if empty else None
