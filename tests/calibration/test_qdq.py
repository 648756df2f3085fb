"""Where Q/DQ nodes are placed, what runs in INT8, and that the result is deterministic."""

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, numpy_helper

from calibration.layers import int8_share, list_layers
from calibration.qdq import quantizable_tensors, quantize_graph, round_kernels, tensors_to_quantize
from calibration.ranges import METHODS, Histogram, choose_thresholds, collect_histograms
from export.fp16 import half_of_graph
from handmap.bundle.graph_lint import lint
from handmap.bundle.graph_view import view_graph
from handmap.engines.onnx_engine import run_graph
from handmap.types.arrays import Float32, Float64
from handmap.types.errors import ModelError
from tests.calibration.networks import residual_graph

LAYERS = ["stem.0", "first.0", "second", "short.0", "long.0", "pose.2", "maps"]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> ModelProto:
    return residual_graph(tmp_path_factory.mktemp("graph"))


@pytest.fixture(scope="module")
def depth() -> Float32:
    random = np.random.default_rng(0)
    smooth = random.uniform(-1, 1, (24, 1, 16, 16)).astype(np.float32)
    return np.kron(smooth, np.ones((1, 1, 8, 8), np.float32))


@pytest.fixture(scope="module")
def histograms(graph: ModelProto, depth: Float32) -> dict[str, Histogram]:
    return collect_histograms(graph, quantizable_tensors(graph), depth)


@pytest.fixture(scope="module")
def thresholds(histograms: dict[str, Histogram]) -> dict[str, float]:
    return choose_thresholds(histograms, "minmax")


def test_layers_are_named_by_their_weights_and_count_their_work(graph: ModelProto) -> None:
    layers = list_layers(graph)

    assert [layer.name for layer in layers] == LAYERS
    assert {layer.name: layer.macs for layer in layers} == {
        "stem.0": 16 * 8 * 1024, "first.0": 576 * 1024, "second": 576 * 1024, "short.0": 32 * 1024, "long.0": 288 * 1024,
        "maps": 168 * 1024, "pose.2": 512 * 63,
    }  # fmt: skip
    assert int8_share(layers, frozenset(LAYERS)) == 0 and int8_share(layers, frozenset()) == 1


def test_every_layer_reads_int8_directly(graph: ModelProto, thresholds: dict[str, float]) -> None:
    quantized = quantize_graph(graph, thresholds, frozenset(), {})

    view = view_graph(quantized)
    layers = [node for node in quantized.graph.node if node.op_type in ("Conv", "Gemm")]
    for node in layers:
        assert [view.makers[name].op_type for name in node.input[:2]] == ["DequantizeLinear"] * 2, node.name
        assert view.constants[node.input[2]].data_type == TensorProto.FLOAT  # the bias
        assert not any(reader.op_type == "QuantizeLinear" for reader in view.readers.get(node.output[0], []))
    assert lint(quantized) == []


def test_the_identity_branch_alone_is_quantized_at_the_residual(
    graph: ModelProto, thresholds: dict[str, float]
) -> None:
    quantized = quantize_graph(graph, thresholds, frozenset(), {})

    view = view_graph(quantized)
    (add,) = (node for node in quantized.graph.node if node.op_type == "Add")
    assert sorted(view.makers[name].op_type for name in add.input) == ["Conv", "DequantizeLinear"]


def test_the_residual_stays_fused_when_the_layer_beside_it_stays_in_float(
    graph: ModelProto, thresholds: dict[str, float]
) -> None:
    quantized = quantize_graph(graph, thresholds, frozenset({"first.0"}), {})

    view = view_graph(quantized)
    (add,) = (node for node in quantized.graph.node if node.op_type == "Add")
    first = next(node for node in quantized.graph.node if node.input[1:2] == ["first.0.weight"])
    assert "DequantizeLinear" in {view.makers[name].op_type for name in add.input}
    assert view.makers[first.input[0]].op_type == "Relu"  # a float layer reads the float tensor
    assert lint(quantized) == []


def test_concatenated_tensors_are_quantized_after_concatenation(
    graph: ModelProto, thresholds: dict[str, float]
) -> None:
    quantized = quantize_graph(graph, thresholds, frozenset(), {})

    view = view_graph(quantized)
    (concat,) = (node for node in quantized.graph.node if node.op_type == "Concat")
    assert {view.makers[name].op_type for name in concat.input} == {"Relu"}
    assert "QuantizeLinear" in {reader.op_type for reader in view.readers[concat.output[0]]}


def test_each_weight_channel_has_its_own_scale_and_is_off_by_at_most_a_step(
    graph: ModelProto, thresholds: dict[str, float]
) -> None:
    quantized = quantize_graph(graph, thresholds, frozenset(), {})

    before = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    after = view_graph(quantized).constants
    for layer in list_layers(graph):
        stem = f"{layer.weight}_{layer.node}"
        levels, scale = (numpy_helper.to_array(after[f"{stem}_{what}"]) for what in ("int8", "scale"))
        along = scale.reshape(-1, *[1] * (levels.ndim - 1))
        assert scale.shape == levels.shape[:1]
        assert np.abs(levels * along - before[layer.weight]).max() <= scale.max()


def test_kernels_keep_their_sums() -> None:
    exact = np.random.default_rng(0).uniform(-127, 127, (64, 8, 5, 5))

    levels = round_kernels(exact)

    assert np.abs(levels.sum(axis=(2, 3)) - exact.sum(axis=(2, 3))).max() <= 0.5 + 1e-9
    assert np.abs(np.rint(exact).sum(axis=(2, 3)) - exact.sum(axis=(2, 3))).max() > 3  # what rounding each alone loses
    assert np.abs(levels - exact).max() < 1 and np.abs(levels).max() <= 127 and (levels == np.rint(levels)).all()
    np.testing.assert_array_equal(round_kernels(exact[:, :, 0, 0]), np.rint(exact[:, :, 0, 0]))


@pytest.mark.parametrize("layer", LAYERS)
def test_any_single_layer_can_be_quantized(graph: ModelProto, thresholds: dict[str, float], layer: str) -> None:
    quantized = quantize_graph(graph, thresholds, frozenset(LAYERS) - {layer}, {})

    kinds = [tensor.data_type for tensor in quantized.graph.initializer if len(tensor.dims) > 1]
    assert kinds.count(TensorProto.INT8) == 1


def test_int8_joints_are_close_but_not_equal(graph: ModelProto, depth: Float32, thresholds: dict[str, float]) -> None:
    wanted = run_graph(graph.SerializeToString(), depth, ("joints",))["joints"]

    content = quantize_graph(graph, thresholds, frozenset(), {}).SerializeToString()

    found = run_graph(content, depth, ("joints",), is_optimized=False)["joints"]
    away = np.linalg.norm(found - wanted, axis=-1).mean() / np.linalg.norm(wanted, axis=-1).mean()
    assert 1e-4 < away < 0.03


def test_a_half_body_gets_half_scales_at_opset_19(graph: ModelProto, depth: Float32) -> None:
    half = half_of_graph(graph, Path("residual"))
    found = collect_histograms(half, quantizable_tensors(half), depth)

    quantized = quantize_graph(half, choose_thresholds(found, "mse"), frozenset({"pose.2"}), {})

    kinds = {tensor.data_type for tensor in quantized.graph.initializer if tensor.name.endswith("_scale")}
    assert kinds == {TensorProto.FLOAT16}
    assert [entry.version for entry in quantized.opset_import if entry.domain == ""] == [19]
    wanted = run_graph(graph.SerializeToString(), depth, ("joints",))["joints"]
    joints = run_graph(quantized.SerializeToString(), depth, ("joints",), is_optimized=False)["joints"]
    assert np.abs(joints - wanted).mean() < 0.02


def test_no_float_copy_of_a_weight_remains(graph: ModelProto, thresholds: dict[str, float]) -> None:
    quantized = quantize_graph(graph, thresholds, frozenset({"pose.2"}), {})

    read = {name for node in quantized.graph.node for name in node.input}
    stored = {tensor.name for tensor in quantized.graph.initializer}
    assert stored <= read
    assert "pose.2.weight" in stored and "stem.0.weight" not in stored


def test_the_result_is_deterministic(graph: ModelProto, depth: Float32, thresholds: dict[str, float]) -> None:
    again = choose_thresholds(collect_histograms(graph, quantizable_tensors(graph), depth), "minmax")

    first, second = (quantize_graph(graph, found, frozenset(), {}) for found in (thresholds, again))

    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)


def test_unknown_or_too_many_float_layers_are_rejected(graph: ModelProto, thresholds: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=r"no layer 'stem\.9', its layers are stem\.0"):
        quantize_graph(graph, thresholds, frozenset({"stem.9"}), {})
    with pytest.raises(ModelError, match="at least one in INT8"):
        quantize_graph(graph, thresholds, frozenset(LAYERS), {})


def test_float_tensors_are_quantized_once(graph: ModelProto) -> None:
    names = tensors_to_quantize(graph, frozenset())

    assert (
        len(names) == len(set(names)) == 6
    )  # two layers read the tensor behind the residual, two the concatenated one
    assert set(names) <= set(quantizable_tensors(graph))


@pytest.mark.parametrize("method", METHODS)
def test_ranges_stay_within_the_observed_values(histograms: dict[str, Histogram], method: str) -> None:
    for name, found in histograms.items():
        assert 0.05 * found.largest < METHODS[method](found) <= found.largest, name


def histogram_of(magnitudes: Float64, largest: float) -> Histogram:
    counts, edges = np.histogram(magnitudes, 2048, (0, largest))
    sums, _ = np.histogram(magnitudes, edges, weights=magnitudes)
    return Histogram(counts.astype(np.float64), sums / np.maximum(counts, 1), largest)


def test_a_background_value_falls_on_a_level() -> None:
    magnitudes = np.append(np.abs(np.random.default_rng(0).normal(size=20_000)), np.full(200_000, 1.2345))
    found = histogram_of(magnitudes, float(magnitudes.max()))

    step = METHODS["mse"](found) / 127

    assert abs(1.2345 / step - round(1.2345 / step)) < 0.05


def test_one_outlier_widens_only_the_minmax_range() -> None:
    magnitudes = np.append(np.abs(np.random.default_rng(0).normal(size=200_000)), 40.0)

    chosen = {name: choose(histogram_of(magnitudes, 40.0)) for name, choose in METHODS.items()}

    assert chosen["minmax"] == 40
    assert all(2 < chosen[name] < 25 for name in ("percentile", "entropy", "mse")), chosen


def test_mse_weighs_rounding_against_clipping() -> None:
    random = np.random.default_rng(0)
    magnitudes = np.abs(random.laplace(size=200_000))
    found = histogram_of(magnitudes, float(magnitudes.max()))

    chosen = METHODS["mse"](found)

    def lost(threshold: float) -> float:
        step = threshold / 127
        return float(((np.minimum(np.rint(magnitudes / step), 127) * step - magnitudes) ** 2).mean())

    assert lost(chosen) <= 1.01 * min(lost(share * found.largest) for share in np.linspace(0.2, 1, 81))
