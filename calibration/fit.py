"""Fits the weights and biases of convolutions to their INT8 inputs, so that their outputs match the float layer's.

Each layer is fitted on its own, from patches of its input on the calibration set: least squares for the weights, which are
then rounded one input at a time, with each error carried over to the weights not yet rounded and finally to the bias
(GPTQ, Frantar et al. 2022).
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
from handmap.types.errors import ModelError

from .layers import Layer, list_layers
from .ranges import INT8_LEVELS

MAX_SAMPLES: Final = 192
PATCHES: Final = 64  # maximum per sample and layer, at random positions
DAMPING: Final = 0.01  # fraction of the inputs' mean square, as in GPTQ: directions that the patches do not constrain keep their weights


@dataclass(frozen=True)
class QuantizedWeight:
    """An integer weight, the step of each output channel (O,) and, if changed, the bias (O,), both in the body's type."""

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
    """What is needed to cut patches for a convolution and fit it; step is the quantization step of its input."""

    layer: Layer
    weight: Float64  # (O, I, H, W)
    bias: Float64  # (O,)
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]  # top, left, bottom, right
    step: float
    kind: type[np.floating]  # of the body


def fit_layers(model: ModelProto, thresholds: Mapping[str, float], samples: Float32) -> dict[str, QuantizedWeight]:
    """The fit of each plain convolution with a bias, by layer name; samples (N, 1, H, W) are inputs of the graph.

    A layer's fit does not depend on which other layers are in INT8. The fit is deterministic.
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
    """The fit of one weight (O, I, H, W) and bias (O,); steps and bias are numbers of `kind`.

    Raises ModelError if any number is not finite: maxima and rounding would hide it.
    """
    if not all(np.isfinite(values).all() for values in (weight, bias, moments.own, moments.lost)):
        raise ModelError(
            "calibration: a layer's weights or inputs are NaN or infinite, wanted finite numbers; export the bundle again"
        )
    exact = np.concatenate([weight.reshape(len(weight), -1), bias[:, None]], axis=1)  # (O, D)
    damped = moments.own + DAMPING * np.mean(np.diag(moments.own)) * np.eye(len(moments.own))
    left = exact + np.linalg.solve(damped, (exact @ moments.lost).T).T
    largest = np.abs(left[:, :-1]).max(axis=1)
    steps = np.where(largest > 0, largest / INT8_LEVELS, 1.0).astype(kind)
    # Upper triangular: row d tells how the inputs after d compensate for an error at d.
    passing = np.linalg.cholesky(np.linalg.inv(damped)).T
    wide = steps.astype(np.float64)
    levels = np.zeros(weight.reshape(len(weight), -1).shape)
    for column in range(levels.shape[1]):
        levels[:, column] = np.clip(np.rint(left[:, column] / wide), -INT8_LEVELS, INT8_LEVELS)
        error = (left[:, column] - levels[:, column] * wide) / passing[column, column]
        left[:, column + 1 :] -= error[:, None] * passing[column, column + 1 :]
    return QuantizedWeight(levels.reshape(weight.shape).astype(np.int8), steps, left[:, -1].astype(kind))


def _convolutions(model: ModelProto, thresholds: Mapping[str, float]) -> Iterator[_Convolution]:
    """The convolutions that can be fitted: not transposed, one group, no dilation, explicit padding, with a bias."""
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
    """Patches of the convolution's input (N, I, H, W) at random positions, (P, I * height * width + 1); the last column is 1."""
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
