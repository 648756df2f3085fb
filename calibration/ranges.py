"""Histograms of activation magnitudes on a calibration set, and the quantization ranges chosen from them.

Two passes over the samples: the maximum of each tensor, then its histogram. No activations are stored.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from onnx import ModelProto

from handmap.bundle.graph_view import expose
from handmap.engines.onnx_engine import run_batches
from handmap.system.progress import track_progress
from handmap.types.arrays import Array, Float32, Float64
from handmap.types.errors import ModelError

BINS: Final = 2048
INT8_LEVELS: Final = 127  # symmetric: -127 ... 127
PERCENTILE: Final = 99.99
ORDINARY: Final = 0.9  # fraction of the filled bins whose counts the entropy method leaves unchanged
STARTS: Final = 128  # the narrowest range that the entropy and mse methods try, in bins

Method: TypeAlias = Literal["minmax", "percentile", "entropy", "mse"]


@dataclass(frozen=True)
class Histogram:
    """Counts (BINS,) of one tensor's magnitudes between 0 and `largest`, and their mean per bin, without exact zeros.

    The means matter: a channel is constant over the background, and the error depends on whether that value is on a level.
    """

    counts: Float64
    means: Float64
    largest: float


def collect_histograms(model: ModelProto, tensors: list[str], samples: Float32) -> dict[str, Histogram]:
    """Histograms of the tensors on inputs (N, 1, H, W) of the graph.

    Raises ModelError if a tensor is not finite, or always zero.
    """
    content, names = expose(model, tensors), tuple(tensors)
    (graph_input,) = (value.name for value in model.graph.input)

    def passes() -> Iterator[dict[str, Array]]:
        return run_batches(content, samples, names, is_optimized=False, input_name=graph_input)

    largest = dict.fromkeys(tensors, 0.0)
    counts, sums = ({name: np.zeros(BINS) for name in tensors} for _ in range(2))
    with track_progress("ranges", 2 * len(samples), "samples") as advance:
        done = 0
        for values in passes():
            for name in tensors:
                largest[name] = float(np.maximum(largest[name], np.abs(values[name]).max()))  # keeps NaN
            done += len(values[names[0]])
            advance(done, "largest")
        for name, value in largest.items():
            if not 0 < value < np.inf:
                raise ModelError(
                    f"calibration: tensor {name!r} reaches {value} on the set, wanted a finite range; check the set"
                )
        for values in passes():
            for name in tensors:
                magnitude = np.abs(values[name][values[name] != 0]).astype(np.float32)
                where = np.minimum((magnitude * (BINS / largest[name])).astype(np.int32), BINS - 1)
                counts[name] += np.bincount(where, minlength=BINS)
                sums[name] += np.bincount(where, weights=magnitude, minlength=BINS)
            done += len(values[names[0]])
            advance(done, "histograms")
    return {name: Histogram(counts[name], sums[name] / np.maximum(counts[name], 1), largest[name]) for name in tensors}


def choose_thresholds(histograms: dict[str, Histogram], method: Method) -> dict[str, float]:
    """The magnitude of the largest INT8 level for each tensor; larger values clip."""
    return {name: METHODS[method](histogram) for name, histogram in histograms.items()}


def minmax_threshold(histogram: Histogram) -> float:
    """The largest magnitude: nothing clips."""
    return histogram.largest


def percentile_threshold(histogram: Histogram) -> float:
    """The magnitude at PERCENTILE of the values."""
    share = np.cumsum(histogram.counts) / histogram.counts.sum()
    return float((np.searchsorted(share, PERCENTILE / 100) + 1) / BINS * histogram.largest)


def entropy_threshold(histogram: Histogram) -> float:
    """The range that minimizes the Kullback-Leibler divergence of the quantized distribution (Migacz 2017), as in TensorRT 8.

    Outlier bins are first clipped to the level of ordinary ones. Background values form spikes that favor a narrow range;
    without clipping, that range cuts the hand off (measured: 10 mm off instead of 0.9).
    """
    filled = histogram.counts[histogram.counts > 0]
    counts = np.minimum(histogram.counts, np.quantile(filled, ORDINARY))
    best, chosen = np.inf, BINS
    for bins in range(STARTS, BINS + 1, 8):
        clipped = counts[:bins].copy()
        clipped[-1] += counts[bins:].sum()
        divergence = _divergence(clipped, _levelled(counts[:bins]))
        if divergence < best:
            best, chosen = divergence, bins
    return chosen / BINS * histogram.largest


def mse_threshold(histogram: Histogram) -> float:
    """The range with the least mean squared error: rounding inside it plus clipping beyond it."""
    best, chosen = np.inf, histogram.largest
    for bins in range(STARTS, BINS + 1):
        scale = bins / BINS * histogram.largest / INT8_LEVELS
        rounded = np.minimum(np.rint(histogram.means / scale), INT8_LEVELS) * scale
        lost = float((histogram.counts * (histogram.means - rounded) ** 2).sum())
        if lost < best:
            best, chosen = lost, bins / BINS * histogram.largest
    return chosen


METHODS: Final[dict[str, Callable[[Histogram], float]]] = {
    "minmax": minmax_threshold,
    "percentile": percentile_threshold,
    "entropy": entropy_threshold,
    "mse": mse_threshold,
}


def _levelled(counts: Float64) -> Float64:
    """The counts quantized to LEVELS + 1 levels: each level's total is spread over its filled bins."""
    level = np.minimum(np.arange(len(counts)) * (INT8_LEVELS + 1) // len(counts), INT8_LEVELS)
    is_filled = counts > 0
    total = np.bincount(level, weights=counts, minlength=INT8_LEVELS + 1)
    filled = np.bincount(level, weights=is_filled, minlength=INT8_LEVELS + 1)
    spread: Float64 = np.where(is_filled, (total / np.maximum(filled, 1))[level], 0.0)
    return spread


def _divergence(true: Float64, shown: Float64) -> float:
    """Kullback-Leibler divergence of two counts; infinite if a nonzero bin of the reference is zero in the other."""
    first, second = true / true.sum(), shown / max(shown.sum(), 1e-30)
    is_true = first > 0
    if (second[is_true] <= 0).any():
        return float("inf")
    return float((first[is_true] * np.log(first[is_true] / second[is_true])).sum())
