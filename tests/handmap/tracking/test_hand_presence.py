"""Evidence for and against a hand."""

import numpy as np

from handmap.tracking.hand_presence import hand_presence_logit
from handmap.tracking.palm_detector import DetectionMap
from handmap.tracking.pose_estimate import PoseEstimate
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import HandRoi

INTRINSICS = Intrinsics(128, 96, 95.0, 95.0, 63.5, 47.5)
CENTER = np.array([0, 0, 500], np.float32)


def look_of(confidence: float = 0.8) -> PoseEstimate:
    joints = np.tile(CENTER, (21, 1))
    return PoseEstimate(joints, np.full(21, 12.0, np.float32), HandRoi(CENTER, 250.0, False), confidence, 1.0, False)


def palms_of(score: float) -> DetectionMap:
    answer = np.zeros((4, 24, 32), np.float32)
    answer[0] = score
    return DetectionMap(answer, INTRINSICS)


def test_a_confident_estimate_is_evidence_for_a_hand() -> None:
    assert hand_presence_logit(look_of(0.9), palms_of(0.0)) > hand_presence_logit(look_of(0.2), palms_of(0.0)) + 0.5


def test_a_palm_detection_at_the_hand_is_evidence_too() -> None:
    assert hand_presence_logit(look_of(), palms_of(3.0)) > hand_presence_logit(look_of(), palms_of(-3.0)) + 1


def test_without_a_palm_graph_only_the_hand_network_counts() -> None:
    assert hand_presence_logit(look_of(), None) == hand_presence_logit(look_of(), palms_of(0.0))


def test_certainty_is_bounded() -> None:
    surest, least = look_of(1.0), look_of(0.0)

    assert np.isfinite(hand_presence_logit(surest, palms_of(60))) and np.isfinite(
        hand_presence_logit(least, palms_of(-60))
    )
