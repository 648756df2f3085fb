"""What speaks for a hand and what against it."""

import numpy as np

from handmap.tracking.evidence import evidence
from handmap.tracking.look import Look
from handmap.tracking.palm_view import PalmMap
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import View

LENS = Intrinsics(128, 96, 95.0, 95.0, 63.5, 47.5)
CENTRE = np.array([0, 0, 500], np.float32)


def look_of(confidence: float = 0.8) -> Look:
    joints = np.tile(CENTRE, (21, 1))
    return Look(joints, np.full(21, 12.0, np.float32), View(CENTRE, 250.0, False), confidence, 1.0, False)


def palms_of(score: float) -> PalmMap:
    answer = np.zeros((4, 24, 32), np.float32)
    answer[0] = score
    return PalmMap(answer, LENS)


def test_a_probable_hand_speaks_for_a_hand() -> None:
    assert evidence(look_of(0.9), palms_of(0.0)) > evidence(look_of(0.2), palms_of(0.0)) + 0.5


def test_so_does_a_palm_where_the_hand_is() -> None:
    assert evidence(look_of(), palms_of(3.0)) > evidence(look_of(), palms_of(-3.0)) + 1


def test_a_bundle_without_a_palm_graph_leaves_it_to_the_hand_network() -> None:
    assert evidence(look_of(), None) == evidence(look_of(), palms_of(0.0))


def test_certainty_is_bounded() -> None:
    surest, least = look_of(1.0), look_of(0.0)

    assert np.isfinite(evidence(surest, palms_of(60))) and np.isfinite(evidence(least, palms_of(-60)))
