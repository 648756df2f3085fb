"""Confidence: expected errors in mm and the odds of a hand, from maps and votes."""

import numpy as np
import pytest

from handmap.bundle.confidence import (
    ConfidenceTable,
    JointDoubt,
    Presence,
    Signals,
    expected_errors_mm,
    guidance_at_joints,
    hand_probability,
    read_signals,
)
from handmap.types.arrays import Float32
from handmap.types.values import NormalizedJoints

TABLE = ConfidenceTable((0.2, 0.8), (40.0, 4.0))
NOTHING = np.zeros(5, np.float32)


def signals(landed: Float32 = NOTHING, peak: Float32 = NOTHING) -> Signals:
    return Signals(NOTHING, landed, peak, 0.0)


def test_the_value_is_read_in_the_cell_where_the_joint_landed() -> None:
    guidance = np.zeros((3, 32, 32), np.float32)
    guidance[0, 31, 0] = 0.7  # row 31, column 0: left, bottom
    guidance[1, 16, 16] = 0.5
    joints = NormalizedJoints(np.array([[-0.99, 0.99, 0], [0.01, 0.01, 0], [1.2, 0, 0]], np.float32), guidance)

    landed = guidance_at_joints(np, joints)

    assert landed.tolist() == pytest.approx([0.7, 0.5, 0.0])


def test_signals_are_the_spread_in_mm_and_the_maps_of_each_joint() -> None:
    guidance = np.zeros((2, 32, 32), np.float32)
    guidance[1, 4, 5] = 0.9
    spread = np.array([[0.3, 0.4, 0.0], [0, 0, 0]], np.float32)

    found = read_signals(np, NormalizedJoints(np.zeros((2, 3), np.float32), guidance, -2.0, spread), 200.0)

    assert np.expm1(found.log_spread).tolist() == pytest.approx([50, 0], rel=1e-5)
    assert found.peak.tolist() == pytest.approx([0, 0.9]) and found.mean_heatmap_peak == pytest.approx(0.45)
    assert found.right_logit == -2.0


def test_expected_errors_lie_between_the_rows_and_stay_at_the_ends() -> None:
    landed = np.array([0.0, 0.2, 0.5, 0.8, 1.0], np.float32)

    found = expected_errors_mm(signals(landed=landed), TABLE)

    assert found.tolist() == pytest.approx([40, 40, 22, 4, 4])


def test_joint_doubt_combines_votes_and_maps_of_joint_and_hand() -> None:
    fit = JointDoubt(
        (0.0, 10.0), (0.0, 10.0), spread=1.0, landed=-1.0, peak=2.0, hand_spread=0.5, mean_heatmap_peak=1.0
    )
    told = Signals(
        np.array([4.0, 2.0], np.float32), np.array([1.0, 0.5], np.float32), np.array([0.5, 1.0], np.float32), 0.0
    )

    found = expected_errors_mm(told, ConfidenceTable(joint_doubt=fit))

    assert found.tolist() == pytest.approx([4 - 1 + 1 + 1.5 + 0.75, 2 - 0.5 + 2 + 1.5 + 0.75])


def test_presence_combines_maps_votes_and_handedness() -> None:
    table = ConfidenceTable((0.0,), (5.0,), presence=Presence(-1.0, peak=2.0, spread=-0.5, side=0.25))
    sure = Signals(np.full(2, 2.0, np.float32), NOTHING[:2], np.ones(2, np.float32), -100.0)

    assert hand_probability(sure, table) == pytest.approx(1 / (1 + np.exp(-(-1 + 2 - 1 + 2))))
    assert hand_probability(signals(), table) == pytest.approx(1 / (1 + np.exp(1)))


def test_without_presence_the_peak_table_gives_the_hand_probability() -> None:
    table = ConfidenceTable((0.0,), (5.0,), (0.2, 0.6), (0.1, 0.9))

    assert hand_probability(signals(peak=np.full(5, 0.4, np.float32)), table) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("guidance", "errors"), [((), ()), ((0.1, 0.2), (3.0,)), ((0.2, 0.2), (3.0, 2.0)), ((0.3, 0.2), (3.0, 2.0))]
)
def test_a_table_that_does_not_rise_is_refused(guidance: tuple[float, ...], errors: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="confidence table"):
        ConfidenceTable(guidance, errors)


def test_two_tables_for_the_same_quantity_are_refused() -> None:
    doubt = JointDoubt((0.0, 1.0), (2.0, 3.0))

    with pytest.raises(ValueError, match="joint_doubt and guidance"):
        ConfidenceTable((0.0,), (5.0,), joint_doubt=doubt)
    with pytest.raises(ValueError, match="presence and hand_peak"):
        ConfidenceTable((0.0,), (5.0,), (0.1, 0.2), (0.0, 1.0), presence=Presence(0.0, 1.0))


def test_tables_for_missing_outputs_are_refused() -> None:
    by_votes = ConfidenceTable(joint_doubt=JointDoubt((0.0, 1.0), (2.0, 3.0)))
    by_side = ConfidenceTable((0.0,), (5.0,), presence=Presence(0.0, 1.0, side=1.0))

    by_votes.refuse_missing({"joints", "spread"})
    by_side.refuse_missing({"joints", "side"})
    with pytest.raises(ValueError, match="no output 'spread'"):
        by_votes.refuse_missing({"joints"})
    with pytest.raises(ValueError, match="no joint_doubt"):
        TABLE.refuse_missing({"joints", "spread"})
    with pytest.raises(ValueError, match=r"'side' the weight 1\.0"):
        by_side.refuse_missing({"joints"})
