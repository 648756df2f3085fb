"""What `ablation.py` measures of one trained network: joint errors on held-out hands, and what its signals are good for.

The signals are those of `handmap.bundle.confidence`: the guidance maps, and the spread of the votes. Each set of signals is fitted
on every second held-out sample as a bundle's tables are, and scored on the others.
"""

from typing import Final

import msgspec
import numpy as np
from torch import nn

from handmap.bundle.confidence import ConfidenceTable, Signals, expected_errors_mm, hand_probability
from handmap.bundle.confidence_fit import KnownLooks, fit_confidence
from handmap.geometry.crop import crop_hand, normalize_points
from handmap.metrics.reliability import BAD_JOINT_MM, auroc
from handmap.tracking.track import cube_center
from handmap.types.arrays import Float32, Float64
from handmap.types.values import Handedness, HandRoi
from training.datasets.synthetic_set import SETS, SyntheticSet
from training.samples.augment import AugmentConfig, augment, draw_warps
from training.samples.sample_cache import RenderedHands
from training.synthesis.synthetic import render_samples
from training.trainer.validate import ValidationSet, predict

# As far above the seeds of a run's own validation (1e9) as those are above training's.
FIRST_SEED: Final = 2_000_000_000
WARP_KEY: Final = (0x68656C64, 0)
RENDERED, VAL = "rendered", "synthetic:val"
DOUBTFUL_SHARE: Final = 0.2
SIGNALS: Final = {"maps": ("landed", "peak"), "spread": ("log_spread",), "both": ("landed", "peak", "log_spread")}
NEEDS: Final = {"maps": {"guidance"}, "spread": {"spread"}, "both": {"guidance", "spread"}}


class Errors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Plain Euclidean errors over all joints of all hands, mm."""

    mean_mm: float
    median_mm: float


class SignalFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a set of signals is good for, on hands and negatives that it was not fitted on.

    auroc_hand: a random hand gets a higher probability than a random negative. Of joints: rank_correlation (Spearman) of expected
    and true error; ause, the area under the sparsification error, 0 for the order of the true errors and 1 for a random order;
    found_share of the joints that are off by more than 20 mm among the fifth of all with the largest expected errors.
    """

    auroc_hand: float
    rank_correlation: float
    ause: float
    found_share: float


class NetworkFigures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Errors by held-out set, the share of scored joints that are off by more than 20 mm, and figures of signals by name."""

    errors: dict[str, Errors]
    bad_share: float
    signals: dict[str, SignalFigures]


class HeldOut(msgspec.Struct, frozen=True):
    """Samples that chose no checkpoint: of training's distribution, negatives among them, and hands of synthetic:val."""

    rendered: ValidationSet
    val: ValidationSet


def make_held_out(rendered: int, val: int, cube_mm: float) -> HeldOut:
    """So many rendered samples with training's jitter, rotation and scale, and the first so many hands of synthetic:val."""
    drawn = render_samples(FIRST_SEED, rendered)
    warps = draw_warps(AugmentConfig(), WARP_KEY, np.arange(rendered))
    samples = augment(RenderedHands(drawn.canvas, drawn.is_hand, drawn.joints_mm), warps, cube_mm)
    return HeldOut(ValidationSet(samples.depth[:, None], samples.joints, cube_mm), _crop(SETS["val"], val, cube_mm))


def measure_network(network: nn.Module, outputs: set[str], held_out: HeldOut) -> NetworkFigures:
    """The figures of a network with these outputs."""
    rendered, val = predict(network, held_out.rendered), predict(network, held_out.val)
    fitted, scored = (KnownLooks(*(values[start::2] for values in rendered)) for start in (0, 1))
    bad = scored.error_mm[np.isfinite(scored.error_mm)] > BAD_JOINT_MM
    return NetworkFigures(
        {RENDERED: _errors(rendered.error_mm), VAL: _errors(val.error_mm)},
        round(float(bad.mean()), 4),
        {
            name: score_signals(_keep(fitted, kept), _keep(scored, kept))
            for name, kept in SIGNALS.items()
            if NEEDS[name] <= outputs
        },
    )


def score_signals(fitted: KnownLooks, scored: KnownLooks) -> SignalFigures:
    """Fits expected errors and the odds of a hand on some samples, and scores them on others; both hold hands and negatives."""
    # Named as if the network had both: a signal that is 0 everywhere gets no weight.
    table = fit_confidence(fitted, {"guidance", "spread"})
    looks = [Signals(*one) for one in zip(scored.log_spread, scored.landed, scored.peak, scored.side, strict=True)]
    is_hand = np.isfinite(scored.error_mm[:, 0])
    expected_mm = _expected(looks, table)[is_hand].ravel()
    error_mm = scored.error_mm[is_hand].ravel().astype(np.float64)
    hand = auroc(np.array([hand_probability(one, table) for one in looks]), is_hand)
    assert hand is not None  # both kinds are there, or the odds could not be fitted
    figures = (hand, rank_correlation(expected_mm, error_mm), ause(expected_mm, error_mm))
    return SignalFigures(*(round(value, 4) for value in (*figures, found_share(expected_mm, error_mm))))


def rank_correlation(first: Float64, second: Float64) -> float:
    """Spearman's rank correlation of two columns (N,); ties get their mean rank."""
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def ause(expected_mm: Float64, error_mm: Float64) -> float:
    """Area between the sparsification curves by expected and by true error (N,), as a share of that of a random order.

    A sparsification curve is the mean error of what is left when the most doubtful are left out (Ilg et al., ECCV 2018).
    """
    own, least = _area_mm(expected_mm, error_mm), _area_mm(error_mm, error_mm)
    return (own - least) / (float(error_mm.mean()) - least)


def found_share(expected_mm: Float64, error_mm: Float64) -> float:
    """How many of the joints (N,) that are off by more than BAD_JOINT_MM are among the DOUBTFUL_SHARE of all that are expected to be worst."""
    doubtful = np.argsort(-expected_mm, kind="stable")[: round(DOUBTFUL_SHARE * len(expected_mm))]
    bad = error_mm > BAD_JOINT_MM
    return float(bad[doubtful].sum() / bad.sum())


def _crop(data: SyntheticSet, count: int, cube_mm: float) -> ValidationSet:
    """The first hands of a set in the cube about the label, cut as the runtime cuts them; left hands mirrored."""
    depth: list[Float32] = []
    joints: list[Float32] = []
    for _, labeled in zip(range(count), data, strict=False):
        truth = labeled.xyz_camera_mm
        roi = HandRoi(cube_center(truth), cube_mm, labeled.handedness is Handedness.LEFT)
        depth.append(crop_hand(np, labeled.frame, *roi).depth)
        joints.append(normalize_points(np, truth, roi))
    return ValidationSet(np.stack(depth)[:, None], np.stack(joints).astype(np.float32), cube_mm)


def _keep(looks: KnownLooks, kept: tuple[str, ...]) -> KnownLooks:
    """The looks with all signals but those kept set to 0."""
    gone = {name: np.zeros_like(getattr(looks, name)) for name in ("log_spread", "landed", "peak") if name not in kept}
    return looks._replace(**gone)


def _expected(looks: list[Signals], table: ConfidenceTable) -> Float64:
    return np.array([expected_errors_mm(one, table) for one in looks], np.float64)


def _errors(error_mm: Float32) -> Errors:
    return Errors(round(float(np.nanmean(error_mm)), 3), round(float(np.nanmedian(error_mm)), 3))


def _ranks(values: Float64) -> Float64:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Float64 = (np.cumsum(count) - (count - 1) / 2)[place]
    return ranks


def _area_mm(order_mm: Float64, error_mm: Float64) -> float:
    """Mean over all shares left out of the mean error of the rest."""
    kept = error_mm[np.argsort(order_mm, kind="stable")]
    return float((np.cumsum(kept) / np.arange(1, len(kept) + 1)).mean())
