"""What speaks for a hand and what against it."""

import numpy as np
import pytest

from handmap.evidence import evidence
from handmap.intrinsics import Intrinsics
from handmap.look import Look
from handmap.palm_view import PalmMap
from handmap.values import View

LENS = Intrinsics(128, 96, 95.0, 95.0, 63.5, 47.5)
CENTRE = np.array([0, 0, 500], np.float32)


def look_of(confidence: float = 0.8, right: float = 1.0, error_mm: float = 12.0) -> Look:
    joints = np.tile(CENTRE, (21, 1))
    return Look(joints, np.full(21, error_mm, np.float32), View(CENTRE, 250.0, False), 0.8, confidence, right, False)


def palms_of(score: float) -> PalmMap:
    answer = np.zeros((4, 24, 32), np.float32)
    answer[0] = score
    return PalmMap(answer, LENS)


@pytest.mark.parametrize(
    ("more", "less"),
    [
        (look_of(0.9), look_of(0.2)),
        (look_of(right=-2.5), look_of(right=0.1)),
        (look_of(error_mm=8), look_of(error_mm=45)),
    ],
)
def test_sure_maps_a_sure_side_and_sure_joints_speak_for_a_hand(more: Look, less: Look) -> None:
    assert evidence(more, palms_of(0.0), tells_side=True) > evidence(less, palms_of(0.0), tells_side=True) + 0.5


def test_so_does_a_palm_where_the_hand_is() -> None:
    assert evidence(look_of(), palms_of(3.0), True) > evidence(look_of(), palms_of(-3.0), True) + 1


def test_both_sides_count_alike_and_none_where_the_model_tells_none() -> None:
    assert evidence(look_of(right=2.0), palms_of(0), True) == evidence(look_of(right=-2.0), palms_of(0), True)
    assert evidence(look_of(right=0.0), palms_of(0), False) == evidence(look_of(right=9.0), palms_of(0), True)


def test_certainty_is_bounded() -> None:
    surest, least = look_of(1.0, 99.0, 0.0), look_of(0.0, 0.0, 99.0)

    assert np.isfinite(evidence(surest, palms_of(60), True)) and np.isfinite(evidence(least, palms_of(-60), True))
