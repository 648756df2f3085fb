"""Weights and biases of convolutions fitted to what they read in INT8, so that they give what the float layer gives.

Each layer by itself, from patches of its input on the calibration set: least squares for the weights, which are then rounded one
input after another, the error of each passed on to those not yet rounded and at last to the bias (GPTQ, Frantar et al. 2022).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from handmap.bundle.graph_view import expose
from handmap.engines.onnx_engine import run_batches
from handmap.system.progress import track_progress
from handmap.types.arrays import Float32, Float64

from .layers import Layer, list_layers
from .ranges import INT8_LEVELS

MAX_SAMPLES: Final = 192
PATCHES: Final = 64  # of each sample and layer at most, at random places
DAMPING: Final = 0.01  # of the mean square of the inputs, as in GPTQ: what the patches do not tell stays as it was


@dataclass(frozen=True)
class QuantizedWeight:
    """A weight in whole levels, the step of each output channel (O,) and, where it is a new one, the bias (O,), both in the body's type."""

    levels: NDArray[np.int8]
    steps: NDArray[np.floating]
    bias: NDArray[np.floating] | None


@dataclass(frozen=True)
class Moments:
    """Means over patches of a layer's input, a 1 appended for the bias: x' x'^T and (x - x') x'^T, where x' is x in INT8."""

    own: Float64  # (D, D)
    lost: Float64  # (D, D)


@dataclass(frozen=True)
class _Convolution:
    """What is needed of a convolution to cut its patches and to fit it; step is that of its input."""

    layer: Layer
    weight: Float64  # (O, I, H, W)
    bias: Float64  # (O,)
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]  # top, left, bottom, right
    step: float
    kind: type[np.floating]  # of the body


def fit_layers(model: ModelProto, thresholds: Mapping[str, float], samples: Float32) -> dict[str, QuantizedWeight]:
    """The fit of each ordinary convolution with a bias, by the layer's name; samples (N, 1, H, W) are inputs of the graph.

    What a layer gets does not depend on which others are in INT8. The same input gives the same fit.
    """
    shown = samples[np.linspace(0, len(samples) - 1, min(len(samples), MAX_SAMPLES)).astype(int)]
    found = list(_convolutions(model, thresholds))
    moments = _collect_moments(model, found, shown)
    fitted = {}
    with track_progress("fit", len(found), "layers") as advance:
        for done, one in enumerate(found, start=1):
            fitted[one.layer.name] = fit_layer(one.weight, one.bias, moments[one.layer.name], one.kind)
            advance(done, one.layer.name)
    return fitted


def fit_layer(weight: Float64, bias: Float64, moments: Moments, kind: type[np.floating]) -> QuantizedWeight:
    """The fit of one weight (O, I, H, W) and bias (O,); steps and bias are numbers of `kind`."""
    exact = np.concatenate([weight.reshape(len(weight), -1), bias[:, None]], axis=1)  # (O, D)
    damped = moments.own + DAMPING * np.mean(np.diag(moments.own)) * np.eye(len(moments.own))
    left = exact + np.linalg.solve(damped, (exact @ moments.lost).T).T
    largest = np.abs(left[:, :-1]).max(axis=1)
    steps = np.where(largest > 0, largest / INT8_LEVELS, 1.0).astype(kind)
    # Upper triangular: row d says how an error at d is made up for by the inputs after it.
    passing = np.linalg.cholesky(np.linalg.inv(damped)).T
    wide = steps.astype(np.float64)
    levels = np.zeros(weight.reshape(len(weight), -1).shape)
    for column in range(levels.shape[1]):
        levels[:, column] = np.clip(np.rint(left[:, column] / wide), -INT8_LEVELS, INT8_LEVELS)
        error = (left[:, column] - levels[:, column] * wide) / passing[column, column]
        left[:, column + 1 :] -= error[:, None] * passing[column, column + 1 :]
    return QuantizedWeight(levels.reshape(weight.shape).astype(np.int8), steps, left[:, -1].astype(kind))


def _convolutions(model: ModelProto, thresholds: Mapping[str, float]) -> Iterator[_Convolution]:
    """The convolutions that can be fitted: not transposed, of one group, not dilated, with explicit padding and a bias."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = {node.name: node for node in model.graph.node}
    for layer in list_layers(model):
        node = nodes[layer.node]
        if node.op_type != "Conv" or len(node.input) < 3 or not _is_ordinary(node):
            continue
        weight, bias = (numpy_helper.to_array(constants[name]) for name in node.input[1:3])
        found = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        strides, pads = tuple(found.get("strides", (1, 1))), tuple(found.get("pads", (0, 0, 0, 0)))
        step = float(np.array(thresholds[layer.input] / INT8_LEVELS).astype(weight.dtype))
        kind = weight.dtype.type
        yield _Convolution(layer, weight.astype(np.float64), bias.astype(np.float64), strides, pads, step, kind)


def _is_ordinary(node: NodeProto) -> bool:
    found = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    is_padded = found.get("auto_pad", b"NOTSET") == b"NOTSET"
    return is_padded and found.get("group", 1) == 1 and set(found.get("dilations", (1,))) == {1}


def _collect_moments(model: ModelProto, found: list[_Convolution], samples: Float32) -> dict[str, Moments]:
    random = np.random.default_rng(0)
    inputs = tuple(dict.fromkeys(one.layer.input for one in found))
    (graph_input,) = (value.name for value in model.graph.input)
    sums: dict[str, tuple[Float64, Float64]] = {}
    counts: dict[str, int] = dict.fromkeys((one.layer.name for one in found), 0)
    with track_progress("fit, patches", len(samples), "samples") as advance:
        done = 0
        for values in run_batches(expose(model, list(inputs)), samples, inputs, False, graph_input):
            for one in found:
                patches = cut_patches(values[one.layer.input].astype(np.float32), one, random)
                step = np.float32(one.step)
                shown = np.clip(np.rint(patches / step), -INT8_LEVELS, INT8_LEVELS) * step
                shown[:, -1] = 1.0
                own, lost = shown.T @ shown, (patches - shown).T @ shown
                before = sums.get(one.layer.name, (0.0, 0.0))
                sums[one.layer.name] = (before[0] + own.astype(np.float64), before[1] + lost.astype(np.float64))
                counts[one.layer.name] += len(patches)
            done += len(values[inputs[0]])
            advance(done, "")
    return {name: Moments(own / counts[name], lost / counts[name]) for name, (own, lost) in sums.items()}


def cut_patches(values: Float32, one: _Convolution, random: np.random.Generator) -> Float32:
    """What the convolution sees of its input (N, I, H, W) at random places, (P, I * height * width + 1); the last column is 1."""
    height, width = one.weight.shape[2:]
    top, left, bottom, right = one.pads
    padded = np.pad(values, ((0, 0), (0, 0), (top, bottom), (left, right)))
    rows = (padded.shape[2] - height) // one.strides[0] + 1
    columns = (padded.shape[3] - width) // one.strides[1] + 1
    each = min(PATCHES, rows * columns)
    sample = np.repeat(np.arange(len(values)), each)
    row = random.integers(0, rows, len(sample)) * one.strides[0]
    column = random.integers(0, columns, len(sample)) * one.strides[1]
    # (N, I, R, C, height, width)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
    patches = windows[sample, :, row, column].reshape(len(sample), -1)
    return np.concatenate([patches, np.ones((len(patches), 1), np.float32)], axis=1)
