"""How surely a look shows a hand: what the hand network and the palm network say of it, taken together.

Fitted by logistic regression to looks at `synthetic:tune`, and rounded: `python -m docs.measured.evidence_fit`.
"""

import math
from typing import Final

from handmap.tracking.look import Look
from handmap.tracking.palm_view import PalmMap

# What starts a track where a hand need not be there: 3 of the 600 frames of `synthetic:tune` without one reach it.
START_EVIDENCE: Final = 0.5
# Of a track's mean: what keeps it, and what leaves no doubt.
KEEP_EVIDENCE: Final = 0.0
SURE_EVIDENCE: Final = 3.0
BIAS: Final = -1.05
HAND_WEIGHT: Final = 0.75
PALMS_WEIGHT: Final = 2.0
LEAST_CHANCE: Final = 1e-3


def evidence(seen: Look, palms: PalmMap | None) -> float:
    """Log odds of a look's showing a hand.

    From the probability by the hand network's own signals, and the palm graph's where the hand is; a bundle without a palm graph
    says nothing there. The error to expect of the joints was tried as a third: it gets no weight.
    """
    by_palms = 0.0 if palms is None else log_odds(palms.score_at(seen.centre_mm))
    return BIAS + HAND_WEIGHT * log_odds(seen.confidence) + PALMS_WEIGHT * by_palms


def log_odds(chance: float) -> float:
    """The log odds of a probability, of which nothing is surer than LEAST_CHANCE."""
    bounded = min(max(chance, LEAST_CHANCE), 1 - LEAST_CHANCE)
    return math.log(bounded / (1 - bounded))
