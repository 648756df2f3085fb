import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from export.fp16_weights import round_kernels, share_weights


def test_kernels_keep_sums_that_plain_rounding_loses() -> None:
    weights = np.random.default_rng(1).normal(0, 3, (16, 8, 5, 5)).astype(np.float32)

    rounded = round_kernels(weights)

    sums = weights.sum(axis=(2, 3), dtype=np.float64)
    lost = np.abs(rounded.sum(axis=(2, 3), dtype=np.float64) - sums)
    plain = np.abs(weights.astype(np.float16).sum(axis=(2, 3), dtype=np.float64) - sums)
    assert lost.max() < plain.mean() / 10
    assert np.abs(rounded - weights).max() < 0.01


def _convolution(kind: int, weights: np.ndarray, operator: str = "Conv") -> ModelProto:
    stored = numpy_helper.from_array(weights, "layer.weight")
    node = helper.make_node(operator, ["x", "layer.weight"], ["y"])
    ends = [helper.make_tensor_value_info(name, kind, None) for name in ("x", "y")]
    return helper.make_model(helper.make_graph([node], "layer", ends[:1], ends[1:], [stored]))


def test_the_fp16_graph_gets_the_fp32_weights() -> None:
    weights = np.random.default_rng(2).normal(size=(4, 2, 3, 3)).astype(np.float32)
    full = _convolution(TensorProto.FLOAT, weights)
    half = _convolution(TensorProto.FLOAT16, (weights * 1.01).astype(np.float16))

    share_weights(half, full)

    (stored,) = half.graph.initializer
    np.testing.assert_array_equal(numpy_helper.to_array(stored), round_kernels(weights))


def test_a_different_graph_keeps_its_own_weights() -> None:
    weights = np.ones((4, 2, 3, 3), np.float16)
    half = _convolution(TensorProto.FLOAT16, weights)

    share_weights(half, _convolution(TensorProto.FLOAT, 2 * weights.astype(np.float32), "ConvTranspose"))

    np.testing.assert_array_equal(numpy_helper.to_array(half.graph.initializer[0]), weights)
