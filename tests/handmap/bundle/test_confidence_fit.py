"""Confidence tables fitted to estimates with known truth."""

import numpy as np
import pytest

from handmap.bundle.confidence import ConfidenceTable, Signals, expected_errors_mm, hand_probability
from handmap.bundle.confidence_fit import KnownLooks, fit_confidence

ALL = {"joints", "guidance", "spread", "side"}


def known_looks(seed: int, count: int = 1500) -> KnownLooks:
    """Estimates, a third of them negatives, with errors that follow votes and maps, plus noise; maps of hands are higher."""
    random = np.random.default_rng(seed)
    is_hand = random.uniform(size=count) < 0.67
    peak = (0.5 * is_hand[:, None] + random.uniform(0, 0.7, (count, 21))).astype(np.float32)
    landed = (peak * random.uniform(0.3, 1, peak.shape)).astype(np.float32)
    log_spread = random.uniform(0, 4, peak.shape).astype(np.float32)
    error_mm = np.exp(0.8 * log_spread - landed) * random.exponential(1, peak.shape) + 2
    error_mm[~is_hand] = np.nan
    side = (random.normal(0, 1, count) * (1 + 3 * is_hand)).astype(np.float32)
    return KnownLooks(log_spread, landed, peak, side, error_mm.astype(np.float32))


def one_by_one(looks: KnownLooks) -> list[Signals]:
    return [
        Signals(looks.log_spread[at], looks.landed[at], looks.peak[at], float(looks.side[at]))
        for at in range(len(looks.side))
    ]


def test_expected_errors_match_actual_errors_in_every_decile() -> None:
    table = fit_confidence(known_looks(1), ALL)
    fresh = known_looks(2)
    is_hand = np.isfinite(fresh.error_mm[:, 0])

    expected_mm = np.array([expected_errors_mm(one, table) for one in one_by_one(fresh)])[is_hand].ravel()

    true_mm = fresh.error_mm[is_hand].ravel()
    for part in np.array_split(np.argsort(expected_mm), 10):
        assert expected_mm[part].mean() == pytest.approx(true_mm[part].mean(), rel=0.2)


def test_negatives_do_not_affect_expected_errors() -> None:
    looks = known_looks(3)
    is_hand = np.isfinite(looks.error_mm[:, 0])
    hands = KnownLooks(*(values[is_hand] for values in looks))

    assert fit_confidence(looks, ALL).joint_doubt == fit_confidence(hands, ALL).joint_doubt
    assert fit_confidence(hands, ALL).presence is None


def test_hand_probability_is_calibrated() -> None:
    looks, fresh = known_looks(4), known_looks(5)
    table = fit_confidence(looks, ALL)

    probable = np.array([hand_probability(one, table) for one in one_by_one(fresh)])

    is_hand = np.isfinite(fresh.error_mm[:, 0])
    for part in np.array_split(np.argsort(probable), 4):
        assert probable[part].mean() == pytest.approx(is_hand[part].mean(), abs=0.08)


def test_missing_outputs_get_no_weight() -> None:
    looks = known_looks(6)
    mute = looks._replace(log_spread=np.zeros_like(looks.log_spread), side=np.zeros_like(looks.side))

    table = fit_confidence(mute, {"joints", "guidance"})

    assert table.presence is not None and table.presence.side == table.presence.spread == 0
    table.refuse_missing({"joints", "guidance"})
    assert (np.diff(table.guidance) > 0).all() and (np.diff(table.expected_error_mm) <= 0).all()


def test_without_maps_and_votes_the_expected_error_is_the_mean_error() -> None:
    looks = known_looks(7)._replace(error_mm=np.full((1500, 21), 7.0, np.float32))

    assert fit_confidence(looks, {"joints"}) == ConfidenceTable((0.0,), (7.0,))
