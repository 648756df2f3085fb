"""How surely a look shows a hand: what the hand network and the palm network say of it, taken together.

Fitted by logistic regression to looks at `synthetic:tune`, and rounded: `python -m docs.measured.evidence_fit`.
"""

import math
from typing import Final

from handmap.tracking.palm_detector import DetectionMap
from handmap.tracking.pose_estimate import PoseEstimate

# What starts a track where a hand need not be there: 3 of the 600 frames of `synthetic:tune` without one reach it.
START_LOGIT: Final = 0.5
# Of a track's mean: what keeps it, and what leaves no doubt.
KEEP_LOGIT: Final = 0.0
SURE_LOGIT: Final = 3.0
BIAS: Final = -1.05
HAND_WEIGHT: Final = 0.75
DETECTOR_WEIGHT: Final = 2.0
MIN_PROBABILITY: Final = 1e-3


def hand_presence_logit(seen: PoseEstimate, palms: DetectionMap | None) -> float:
    """Log odds of a look's showing a hand.

    From the probability by the hand network's own signals, and the palm graph's where the hand is; a bundle without a palm graph
    says nothing there. The error to expect of the joints was tried as a third: it gets no weight.
    """
    by_palms = 0.0 if palms is None else logit(palms.score_at(seen.center_mm))
    return BIAS + HAND_WEIGHT * logit(seen.confidence) + DETECTOR_WEIGHT * by_palms


def logit(chance: float) -> float:
    """The log odds of a probability, of which nothing is surer than MIN_PROBABILITY."""
    bounded = min(max(chance, MIN_PROBABILITY), 1 - MIN_PROBABILITY)
    return math.log(bounded / (1 - bounded))
