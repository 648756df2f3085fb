"""Confidence: turns a network's maps and votes into an expected error in mm per joint and the probability of a hand.

The tables belong to the model: they are fitted in training, stored in the bundle, and applied here.
"""

import itertools
from typing import NamedTuple

import msgspec
import numpy as np

from handmap.bundle.facts import ErrorMm, Probability, Weight
from handmap.types.arrays import Array, ArrayModule, Float32
from handmap.types.values import NormalizedJoints

LEAST_WORST_MM = 1.0  # no network knows the joints of a hand better than this where it doubts them most
SIDE_LIMIT = 8.0  # a surer handedness is no further evidence of a hand


class JointDoubt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Maps the uncertainty of a joint, computed from votes and maps, to an expected error in mm.

    The doubt is the sum of these weights times: ln(1 + spread of the joint's votes in mm), the value of its own map where it
    landed and at that map's peak, and the means of the first and the last over all joints. Both columns rise; between rows
    linear interpolation, beyond the ends constant.
    """

    doubt: tuple[Weight, ...]
    expected_error_mm: tuple[ErrorMm, ...]
    spread: Weight = 1.0
    landed: Weight = 0.0
    peak: Weight = 0.0
    hand_spread: Weight = 0.0
    mean_heatmap_peak: Weight = msgspec.field(name="hand_peak", default=0.0)

    def __post_init__(self) -> None:
        _check_columns("doubt", self.doubt, "expected_error_mm", self.expected_error_mm)
        _check_order("expected_error_mm", self.expected_error_mm, "fall with the doubt")
        _check_unit(self.expected_error_mm)


class Presence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Log odds that a cube shows a hand: bias + weights times the mean of the maps' peaks, the mean over joints of
    ln(1 + spread in mm), and how sure the network is of the hand's side, |logit| up to MAX_HANDEDNESS_LOGIT."""

    bias: Weight
    peak: Weight
    spread: Weight = 0.0
    side: Weight = 0.0


class ConfidenceTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Maps the signals of a crop to expected errors and the probability of a hand, fitted on samples outside the training set.

    Of a joint: value of its own map where it landed (rising) and the error in mm to expect there (falling), or `joint_doubt`
    in its place. Of the hand: mean over joints of their maps' peaks (rising) and the probability that the cube
    shows a hand at all (rising), or `presence` in their place.
    """

    guidance: tuple[Weight, ...] = ()
    expected_error_mm: tuple[ErrorMm, ...] = ()
    mean_heatmap_peak: tuple[Weight, ...] = msgspec.field(name="hand_peak", default=(0.0,))
    hand_probability: tuple[Probability, ...] = (1.0,)  # a model without maps takes everything for a hand
    joint_doubt: JointDoubt | None = None
    presence: Presence | None = None

    def __post_init__(self) -> None:
        if self.joint_doubt is None:
            _check_columns("guidance", self.guidance, "expected_error_mm", self.expected_error_mm)
            _check_order("expected_error_mm", self.expected_error_mm[::-1], "rise with the guidance")
            _check_unit(self.expected_error_mm)
        elif self.guidance or self.expected_error_mm:
            raise ValueError(
                "confidence table: joint_doubt and guidance both predict joint errors; give only one of them"
            )
        if self.presence is not None and self.mean_heatmap_peak != (0.0,):
            raise ValueError(
                "confidence table: presence and hand_peak both predict whether there is a hand; give only one of them"
            )
        _check_columns("hand_peak", self.mean_heatmap_peak, "hand_probability", self.hand_probability)
        _check_order("hand_probability", self.hand_probability, "fall with hand_peak")

    def refuse_missing(self, outputs: set[str]) -> None:
        """Raises ValueError if the network lacks an output that the tables use, or has a spread that none of them uses."""
        if ("spread" in outputs) != (self.joint_doubt is not None):
            has, lacks = ("joint_doubt", "output 'spread'") if self.joint_doubt else ("output 'spread'", "joint_doubt")
            raise ValueError(f"confidence: there is {has} and no {lacks}; give both, or neither")
        wanted = {"spread": self.presence and self.presence.spread, "side": self.presence and self.presence.side}
        for name, weight in wanted.items():
            if weight and name not in outputs:
                raise ValueError(
                    f"confidence.presence: gives {name!r} the weight {weight}, but the network has no such output; set it to 0"
                )


class Signals(NamedTuple):
    """The network's own uncertainty signals, on the host: per joint ln(1 + spread in mm), its map's value where it landed and at its
    peak, each (J,) and 0 where the network has no votes or maps; right_logit is the logit of a right hand."""

    log_spread: Float32
    landed: Float32
    peak: Float32
    right_logit: float

    @property
    def mean_heatmap_peak(self) -> float:
        """Mean of the maps' peaks: a better sign of a hand than the values where joints landed, since an occluded joint lands low on a high map."""
        return float(self.peak.mean())


def read_signals(xp: ArrayModule, joints: NormalizedJoints, cube_mm: float) -> Signals:
    """The signals of the joints predicted in a cube of side cube_mm."""
    count = joints.xyz.shape[0]
    landed, peak, log_spread = guidance_at_joints(xp, joints), xp.zeros(count), xp.zeros(count)
    if joints.guidance is not None:
        peak = joints.guidance.reshape(count, -1).max(axis=1)
    if joints.spread is not None:
        spread_mm = xp.sqrt((joints.spread * joints.spread).sum(axis=1)) * np.float32(cube_mm / 2)
        log_spread = xp.log1p(spread_mm)
    return Signals(to_host(log_spread), to_host(landed), to_host(peak), joints.right_logit)


def guidance_at_joints(xp: ArrayModule, joints: NormalizedJoints) -> Array:
    """The value (J,) of each joint's own guidance map in the cell where the joint landed; 0 outside the map.

    A network that is sure of a joint puts it at the peak (1) of its map; one that guesses lands low on the map.
    A model without maps gives 0 everywhere: its table then holds a single error.
    """
    count = joints.xyz.shape[0]
    if joints.guidance is None:
        return xp.zeros(count, xp.float32)
    size = joints.guidance.shape[-1]
    cell = xp.floor((joints.xyz[:, :2] + 1) * np.float32(size / 2)).astype(xp.int32)  # (J, 2) column, row
    inside = ((cell >= 0) & (cell < size)).all(axis=1)
    column, row = xp.clip(cell, 0, size - 1).T
    return xp.where(inside, joints.guidance[xp.arange(count), row, column], np.float32(0))


def expected_errors_mm(signals: Signals, table: ConfidenceTable) -> Float32:
    """Expected errors (J,) in mm of the joints."""
    if table.joint_doubt is None:
        return np.interp(signals.landed, table.guidance, table.expected_error_mm).astype(np.float32)
    fit = table.joint_doubt
    doubt = fit.spread * signals.log_spread + fit.landed * signals.landed + fit.peak * signals.peak
    doubt = doubt + fit.hand_spread * signals.log_spread.mean() + fit.mean_heatmap_peak * signals.mean_heatmap_peak
    expected_mm: Float32 = np.interp(doubt, fit.doubt, fit.expected_error_mm).astype(np.float32)
    return expected_mm


def hand_probability(signals: Signals, table: ConfidenceTable) -> float:
    """The probability that the cube shows a hand."""
    if table.presence is None:
        return float(np.interp(signals.mean_heatmap_peak, table.mean_heatmap_peak, table.hand_probability))
    fit = table.presence
    side = min(abs(signals.right_logit), SIDE_LIMIT)
    log_odds = (
        fit.bias
        + fit.peak * signals.mean_heatmap_peak
        + fit.spread * float(signals.log_spread.mean())
        + fit.side * side
    )
    return float(1 / (1 + np.exp(-log_odds)))


def to_host(array: Array) -> Float32:
    """The array as NumPy float32, copied from the GPU if it is there."""
    # CuPy arrays have get() to copy them to the host; NumPy arrays are there already.
    host: Float32 = array.get() if hasattr(array, "get") else np.asarray(array)
    return host.astype(np.float32, copy=False)


def _check_order(name: str, values: tuple[float, ...], wrong: str) -> None:
    if any(after < before for before, after in itertools.pairwise(values)):
        raise ValueError(f"confidence table: {name} must not {wrong}")


def _check_unit(expected_error_mm: tuple[float, ...]) -> None:
    if max(expected_error_mm) < LEAST_WORST_MM:
        raise ValueError(
            f"confidence table: expected_error_mm reaches {max(expected_error_mm):g} mm, wanted at least {LEAST_WORST_MM:g} mm in "
            "its worst row; write millimeters, not meters"
        )


def _check_columns(name: str, values: tuple[float, ...], other: str, others: tuple[float, ...]) -> None:
    if not values or len(values) != len(others):
        raise ValueError(
            f"confidence table: {len(values)} values of {name} and {len(others)} of {other}, wanted as many of each"
        )
    if not all(later > earlier for earlier, later in itertools.pairwise(values)):  # NaN does not rise
        raise ValueError(f"confidence table: {name} must rise")
