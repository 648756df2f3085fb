"""Validation while training: held-out rendered hands under fixed warps, always the same, scored with plain Euclidean mm.

It chooses the best checkpoint and fits the confidence table. It is not `synthetic:val`; no weights are chosen on that.
"""

from typing import NamedTuple

import numpy as np
import torch

from handmap.arrays import Float32, Float64
from handmap.bundle import ConfidenceTable
from handmap.scores import MISSED_MM

from .augment import augment, draw_warps
from .guidance import joint_cells
from .network import HandMap
from .sample_cache import RenderedHands
from .synthetic import render_samples
from .train_config import TrainConfig

# Far above every seed that training reaches.
FIRST_SEED = 1_000_000_000
WARP_KEY = (0x76616C, 0)
PASS_SAMPLES = 64
TABLE_BINS = 24
PEAK_BINS = 32


class ValidationSet(NamedTuple):
    """Held-out samples: depth (N, 1, 128, 128), joints (N, 21, 3) in half cube sides, and the cube's side in mm."""

    depth: Float32
    joints: Float32
    cube_mm: float


class Predictions(NamedTuple):
    """What a network says of a validation set.

    The error (N, 21) in mm, NaN where there is no hand to be right about; and, where it has maps, each joint's own map where
    it landed (N, 21), and the mean over joints of their maps' peaks (N,).
    """

    error_mm: Float32
    guidance: Float32 | None
    peak: Float32 | None


def make_validation_set(config: TrainConfig) -> ValidationSet:
    """The validation samples of a run; the same for every run of the same cube, augmentation and count."""
    count = config.validation_samples
    drawn = render_samples(FIRST_SEED, count)
    hands = RenderedHands(drawn.canvas, drawn.is_hand, drawn.joints_mm)
    samples = augment(hands, draw_warps(config.augment, WARP_KEY, np.arange(count)), config.cube_mm)
    return ValidationSet(samples.depth[:, None], samples.joints, config.cube_mm)


@torch.no_grad()
def predict(network: HandMap, validation: ValidationSet) -> Predictions:
    """Errors and landing values of a network, in evaluation mode and float32."""
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    located, landed, peaks = [], [], []
    for start in range(0, len(validation.depth), PASS_SAMPLES):
        depth = torch.from_numpy(validation.depth[start : start + PASS_SAMPLES]).to(device)
        outputs = {name: value.cpu().numpy() for name, value in network(depth).items()}
        located.append(outputs["joints"])
        if "guidance" in outputs:
            landed.append(read_landing(outputs["guidance"], outputs["joints"]))
            peaks.append(outputs["guidance"].max(axis=(2, 3)).mean(axis=1))
    network.train(was_training)
    offsets = np.concatenate(located) - validation.joints
    error_mm = np.linalg.norm(offsets, axis=-1) * (validation.cube_mm / 2)
    if not landed:
        return Predictions(error_mm.astype(np.float32), None, None)
    return Predictions(error_mm.astype(np.float32), np.concatenate(landed), np.concatenate(peaks))


def read_landing(guidance: Float32, joints: Float32) -> Float32:
    """The value (N, J) of each joint's own map (N, J, 32, 32) in the cell where the joint (N, J, 3) lies; 0 outside the map.

    As `handmap.decode` reads it for one hand.
    """
    cells = joint_cells(joints)
    samples, own = np.indices(joints.shape[:2])
    is_inside = ((joints[..., :2] >= -1) & (joints[..., :2] < 1)).all(axis=-1)
    values: Float32 = guidance[samples, own, cells[..., 0], cells[..., 1]] * is_inside
    return values


def fit_confidence(predictions: Predictions) -> ConfidenceTable:
    """The table from guidance maps to expected errors in mm and to the probability of a hand; without maps, the mean error.

    One table for all joints: bins of equal count over the pooled joints, their mean errors made non-increasing in the
    guidance by pooling adjacent violators. A joint found where there is no hand counts as MISSED_MM off. To be read with
    linear interpolation, constant beyond its ends.
    """
    if predictions.guidance is None or predictions.peak is None:
        return ConfidenceTable((0.0,), (round(float(np.nanmean(predictions.error_mm)), 3),))
    error_mm: Float64 = np.nan_to_num(predictions.error_mm.astype(np.float64), nan=MISSED_MM)
    guidance, expected_mm = _fit_falling(predictions.guidance.ravel(), error_mm.ravel(), TABLE_BINS)
    is_no_hand: Float64 = np.isnan(predictions.error_mm[:, 0]).astype(np.float64)
    peak, no_hand = _fit_falling(predictions.peak, is_no_hand, PEAK_BINS)
    return ConfidenceTable(guidance, expected_mm, peak, tuple(round(1 - value, 3) for value in no_hand))


def _fit_falling(values: Float32, wanted: Float64, bins: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Rising centres of bins of equal count over `values` (M,), and the mean of `wanted` (M,) in each, made to fall."""
    order = np.argsort(values, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    centres = np.array([values[part].mean() for part in parts], np.float64)
    means = _fall(np.array([float(np.mean(wanted[part])) for part in parts], np.float64))
    keep = np.append(np.diff(centres) > 1e-4, True)
    return tuple(round(float(c), 5) for c in centres[keep]), tuple(round(float(m), 3) for m in means[keep])


def _fall(values: Float64) -> Float64:
    """The nearest non-increasing sequence in least squares (pool adjacent violators), bins of equal weight."""
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, count = float(value), 1
        while pools and pools[-1][0] < mean:
            previous, size = pools.pop()
            mean, count = (mean * count + previous * size) / (count + size), count + size
        pools.append((mean, count))
    return np.concatenate([np.full(count, mean) for mean, count in pools])
