"""Weights fitted to a layer's INT8 input: closer to the float layer than rounded ones, and deterministic."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper

from calibration.fit import Moments, QuantizedWeight, fit_layer, fit_layers
from calibration.layers import list_layers
from calibration.qdq import quantizable_tensors, quantize_graph
from calibration.ranges import choose_thresholds, collect_histograms
from export.fp16 import half_of_graph
from handmap.bundle.graph_view import expose
from handmap.engines.onnx_engine import run_graph
from handmap.types.arrays import Float32, Float64
from tests.calibration.networks import residual_graph

CONVOLUTIONS = {"stem.0", "first.0", "second", "short.0", "long.0", "maps"}
STEP = 0.05


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> ModelProto:
    return residual_graph(tmp_path_factory.mktemp("graph"))


@pytest.fixture(scope="module")
def depth() -> Float32:
    smooth = np.random.default_rng(0).uniform(-1, 1, (48, 1, 16, 16)).astype(np.float32)
    return np.kron(smooth, np.ones((1, 1, 8, 8), np.float32))


@pytest.fixture(scope="module")
def thresholds(graph: ModelProto, depth: Float32) -> dict[str, float]:
    return choose_thresholds(collect_histograms(graph, quantizable_tensors(graph), depth), "mse")


@pytest.fixture(scope="module")
def fitted(graph: ModelProto, thresholds: dict[str, float], depth: Float32) -> dict[str, QuantizedWeight]:
    return fit_layers(graph, thresholds, depth[:32])


def moments_of(exact: Float64) -> tuple[Moments, Float64]:
    """The moments of inputs (P, D) and the inputs as INT8 shows them, a 1 appended to both."""
    ones = np.ones((len(exact), 1))
    whole, shown = np.hstack([exact, ones]), np.hstack([np.rint(exact / STEP) * STEP, ones])
    return Moments(shown.T @ shown / len(shown), (whole - shown).T @ shown / len(shown)), shown


def squared_error(layer: QuantizedWeight, weight: Float64, exact: Float64, shown: Float64) -> float:
    levels = layer.levels.reshape(len(weight), -1) * layer.steps.astype(np.float64)[:, None]
    bias = np.zeros(len(weight)) if layer.bias is None else layer.bias
    given = shown[:, :-1] @ levels.T + bias
    return float(((given - exact @ weight.reshape(len(weight), -1).T) ** 2).mean())


def test_a_fitted_weight_has_less_error_than_a_rounded_one() -> None:
    random = np.random.default_rng(1)
    exact = (
        random.normal(size=(4000, 6)) @ random.normal(size=(6, 18)) * 0.3
    )  # correlated inputs, like neighboring pixels
    weight = random.normal(size=(5, 2, 3, 3))
    moments, shown = moments_of(exact)
    largest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 127
    rounded = QuantizedWeight(np.rint(weight / largest).astype(np.int8), largest.ravel(), None)

    layer = fit_layer(weight, np.zeros(5), moments, np.float32)

    lost, before = (squared_error(one, weight, exact, shown) for one in (layer, rounded))
    assert lost < 0.9 * before


def test_the_bias_compensates_for_a_background_between_two_levels() -> None:
    exact = np.full((500, 4), 0.3 * STEP)  # quantized to 0 everywhere
    weight = np.full((1, 1, 2, 2), 2.0)
    moments, shown = moments_of(exact)

    layer = fit_layer(weight, np.zeros(1), moments, np.float32)

    assert layer.bias is not None
    assert float(layer.bias[0]) == pytest.approx(4 * 2.0 * 0.3 * STEP, rel=0.05)
    assert squared_error(layer, weight, exact, shown) < 1e-5


def test_exactly_representable_weights_stay_unchanged() -> None:
    exact = np.rint(np.random.default_rng(0).normal(size=(500, 4)) / STEP) * STEP
    weight = np.array([[[[127.0, -5.0], [3.0, 0.0]]]]) / 64

    layer = fit_layer(weight, np.array([0.5]), moments_of(exact)[0], np.float32)

    np.testing.assert_array_equal(layer.levels, [[[[127, -5], [3, 0]]]])
    assert layer.bias is not None and float(layer.bias[0]) == pytest.approx(0.5, abs=1e-6)


def test_only_plain_convolutions_are_fitted(
    graph: ModelProto, fitted: dict[str, QuantizedWeight], thresholds: dict[str, float], depth: Float32
) -> None:
    dilated = ModelProto.FromString(graph.SerializeToString())
    node = next(one for one in dilated.graph.node if one.input[1:2] == ["second.weight"])
    for entry in node.attribute:
        if entry.name in ("dilations", "pads"):
            entry.ints[:] = [2] * len(entry.ints)  # keeps the size
    onnx.checker.check_model(dilated)

    assert set(fitted) == CONVOLUTIONS
    assert set(fit_layers(dilated, thresholds, depth[:8])) == CONVOLUTIONS - {"second"}


def test_a_fitted_layer_is_nearer_to_the_float_one_on_other_samples(
    graph: ModelProto, fitted: dict[str, QuantizedWeight], thresholds: dict[str, float], depth: Float32
) -> None:
    layers = {layer.name: layer for layer in list_layers(graph)}
    node = next(one for one in graph.graph.node if one.name == layers["second"].node)
    others = frozenset(layers) - {"second"}
    wanted = run_graph(expose(graph, [node.output[0]]), depth[32:], (node.output[0],))[node.output[0]]

    lost = []
    for weights in (fitted, {}):
        model = quantize_graph(graph, thresholds, others, weights)
        given = run_graph(expose(model, [node.output[0]]), depth[32:], (node.output[0],), False)[node.output[0]]
        lost.append(float(((given - wanted) ** 2).mean()))

    assert lost[0] < lost[1]


def test_fits_are_deterministic_and_use_the_type_of_the_body(
    graph: ModelProto, fitted: dict[str, QuantizedWeight], thresholds: dict[str, float], depth: Float32, tmp_path: Path
) -> None:
    again = fit_layers(graph, thresholds, depth[:32])
    half = half_of_graph(graph, tmp_path)
    half_thresholds = choose_thresholds(collect_histograms(half, quantizable_tensors(half), depth[:8]), "mse")

    halves = fit_layers(half, half_thresholds, depth[:8])

    for name, layer in fitted.items():
        np.testing.assert_array_equal(layer.levels, again[name].levels)
        np.testing.assert_array_equal(layer.bias, again[name].bias)
    assert {one.steps.dtype for one in halves.values()} == {np.dtype(np.float16)}
    model = quantize_graph(half, half_thresholds, frozenset(), halves)
    kinds = {numpy_helper.to_array(one).dtype for one in model.graph.initializer if one.name.endswith("_bias")}
    assert kinds == {np.dtype(np.float16)}
