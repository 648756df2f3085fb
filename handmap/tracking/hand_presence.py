"""Hand presence: combines the evidence of the hand network and the palm network that an estimate shows a hand.

Fitted by logistic regression to estimates on `synthetic:tune`, and rounded: `python -m docs.measured.evidence_fit`.
"""

import math
from typing import Final

from handmap.tracking.palm_detector import DetectionMap
from handmap.tracking.pose_estimate import PoseEstimate

# The detector's threshold, to start a track unless a hand is assumed present: 3 of the 600 negatives in `synthetic:tune` reach it.
START_LOGIT: Final = 0.5
# Thresholds on a track's mean: below the first the track ends; from the second on it is certain.
KEEP_LOGIT: Final = 0.0
SURE_LOGIT: Final = 3.0
PRESENCE_EMA_ALPHA: Final = 0.25  # weight of the newest logit in that mean
MISFIT_LOGIT: Final = -1.0  # what a hand that fits no body is evidence for
BIAS: Final = -1.05
HAND_WEIGHT: Final = 0.75
DETECTOR_WEIGHT: Final = 2.0
MIN_PROBABILITY: Final = 1e-3


def hand_presence_logit(seen: PoseEstimate, palms: DetectionMap | None) -> float:
    """Log odds that an estimate shows a hand.

    Combines the probability from the hand network's own signals with the palm graph's score at the hand; without a palm graph
    that term is left out. The expected joint error was tried as a third signal, but gets no weight.
    """
    by_palms = 0.0 if palms is None else logit(palms.score_at(seen.center_mm))
    return BIAS + HAND_WEIGHT * logit(seen.confidence) + DETECTOR_WEIGHT * by_palms


def logit(chance: float) -> float:
    """The log odds of a probability, clipped to MIN_PROBABILITY from 0 and 1."""
    bounded = min(max(chance, MIN_PROBABILITY), 1 - MIN_PROBABILITY)
    return math.log(bounded / (1 - bounded))
