"""How surely a look shows a hand: what the hand network, its side branch and the palm network say of it, taken together.

Fitted by logistic regression to looks on two-hand sequences beyond the benchmark's, and rounded; see docs/measured/two_hands.md.
"""

import math
from typing import Final

from handmap.look import Look
from handmap.palm_view import PalmMap

# What starts a track where a hand need not be there; and, of a track's mean, what keeps it and what leaves no doubt.
START_EVIDENCE: Final = -3.5
KEEP_EVIDENCE: Final = -2.0
SURE_EVIDENCE: Final = 1.0
MAPS_WEIGHT: Final = 0.5
PALMS_WEIGHT: Final = 1.3
SIDE_WEIGHT: Final = 1.5
SURE_SIDE: Final = 3.0  # a logit: of what is no hand, the side branch has learned to say nothing
ERROR_PER_EVIDENCE_MM: Final = 30.0
LEAST_CHANCE: Final = 1e-3


def evidence(seen: Look, palms: PalmMap, tells_side: bool) -> float:
    """Log odds, but for a constant, of a look's showing a hand.

    The probability of the guidance maps and the one of the palm graph where the hand is speak for it; a side that is not sure, where
    the model tells sides, and joints that are not sure speak against it.
    """
    by_maps, by_palms = _log_odds(seen.confidence), _log_odds(palms.score_at(seen.centre_mm))
    unsure_side = SURE_SIDE - min(abs(seen.right), SURE_SIDE) if tells_side else 0.0
    unsure_joints = float(seen.expected_error_mm.mean()) / ERROR_PER_EVIDENCE_MM
    return MAPS_WEIGHT * by_maps + PALMS_WEIGHT * by_palms - SIDE_WEIGHT * unsure_side - unsure_joints


def _log_odds(chance: float) -> float:
    bounded = min(max(chance, LEAST_CHANCE), 1 - LEAST_CHANCE)
    return math.log(bounded / (1 - bounded))
