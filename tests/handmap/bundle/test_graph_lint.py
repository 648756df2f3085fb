"""Each rule of the linter on a small graph that breaks it and nothing else; graphs that TensorRT accepts pass."""

from typing import Any

import numpy as np
import pytest

from handmap.types.errors import ModelError

onnx: Any = pytest.importorskip("onnx", reason="needs onnx, of the extras export and calibrate")

from handmap.bundle.graph_lint import LintFinding, lint, refuse  # noqa: E402 # it imports onnx

FLOAT = 1
WEIGHT = np.ones((4, 4, 3, 3), np.float32)


def constant(name: str, value: Any) -> Any:
    return onnx.numpy_helper.from_array(np.asarray(value), name)


def node(kind: str, inputs: str, output: str, **attributes: Any) -> Any:
    return onnx.helper.make_node(kind, inputs.split(), [output], name=f"make_{output}", **attributes)


def model(nodes: list[Any], constants: list[Any], opset: int = 18, axes: tuple[Any, ...] = ("batch", 4, 8, 8)) -> Any:
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes, "test", [value("x", FLOAT, axes)], [value("y", FLOAT, axes)], initializer=constants
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])


def quantized(zero: Any = None, weight_scale: Any = None, has_zero: bool = True) -> Any:
    """x -> Q/DQ -> Conv with an INT8 weight -> y."""
    scales = np.full(4, 0.1, np.float32) if weight_scale is None else weight_scale
    facts = "s z" if has_zero else "s"
    nodes = [
        node("QuantizeLinear", f"x {facts}", "xq"),
        node("DequantizeLinear", f"xq {facts}", "xd"),
        node("DequantizeLinear", "w ws", "wd", axis=0),
        node("Conv", "xd wd", "y", pads=[1, 1, 1, 1]),
    ]
    constants = [
        constant("s", np.float32(0.1)),
        constant("z", np.int8(0) if zero is None else zero),
        constant("w", WEIGHT.astype(np.int8)),
        constant("ws", scales),
    ]
    return model(nodes, constants)


def rules(found: list[LintFinding]) -> set[str]:
    return {finding.rule for finding in found}


def test_a_float_graph_and_a_symmetric_int8_graph_pass() -> None:
    plain = model([node("Conv", "x w", "y", pads=[1, 1, 1, 1])], [constant("w", WEIGHT)])

    assert lint(plain) == []
    assert lint(quantized()) == []


@pytest.mark.parametrize("opset", [17, 20])
def test_an_opset_that_not_all_boards_read_is_found(opset: int) -> None:
    assert rules(lint(model([node("Relu", "x", "y")], [], opset))) == {"opset"}
    assert lint(model([node("Relu", "x", "y")], [], 19)) == []


def test_any_symbolic_axis_except_the_batch_is_found() -> None:
    for axes in (("n", 4, 8, 8), ("batch", 4, "height", 8), ("batch", 4, None, 8)):
        assert rules(lint(model([node("Relu", "x", "y")], [], axes=axes))) == {"symbolic axis"}, axes


@pytest.mark.parametrize("zero", [np.uint8(0), np.uint8(128), np.int8(3)])
def test_an_unsigned_or_shifted_zero_point_is_found(zero: Any) -> None:
    assert rules(lint(quantized(zero))) == {"zero point"}


def test_a_quantizer_without_zero_point_is_found_because_it_is_unsigned() -> None:
    assert rules(lint(quantized(has_zero=False))) == {"zero point"}


def test_an_int32_bias_is_found() -> None:
    graph = quantized()
    graph.graph.initializer.append(constant("b", np.zeros(4, np.int32)))
    graph.graph.node.insert(3, node("DequantizeLinear", "b ws", "bd", axis=0))
    graph.graph.node[4].input.append("bd")

    assert rules(lint(graph)) == {"int32"}


@pytest.mark.parametrize("scale", [np.float32(0.1), np.full(1, 0.1, np.float32)])
def test_weights_with_one_scale_are_found(scale: Any) -> None:
    assert rules(lint(quantized(weight_scale=scale))) == {"per tensor"}


def test_weight_scales_along_the_wrong_axis_are_found() -> None:
    graph = quantized()
    graph.graph.node[2].attribute[0].i = 1

    assert rules(lint(graph)) == {"per tensor"}


@pytest.mark.parametrize("dtype", [np.float64, np.int64])
def test_64_bit_numbers_are_found_but_not_shapes(dtype: Any) -> None:
    shape = constant("shape", np.array([-1, 4, 8, 8]))
    fine = model([node("Reshape", "x shape", "y")], [shape])
    wide = model([node("Cast", "x", "c", to=1), node("Add", "c wide", "y")], [constant("wide", np.ones(1, dtype))])

    assert lint(fine) == []
    assert rules(lint(wide)) == {np.dtype(dtype).name}


def test_a_cast_to_64_bits_is_found() -> None:
    nodes = [node("Cast", "x", "c", to=11), node("Cast", "c", "y", to=1)]

    assert rules(lint(model(nodes, []))) == {"int64"}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_found(bad: float) -> None:
    weight = WEIGHT.copy()
    weight[1, 2] = bad

    assert rules(lint(model([node("Conv", "x w", "y", pads=[1, 1, 1, 1])], [constant("w", weight)]))) == {"not finite"}


def residual(is_conv_quantized: bool, is_identity_quantized: bool) -> Any:
    graph = (
        quantized()
        if is_conv_quantized
        else model([node("Conv", "x w", "y", pads=[1, 1, 1, 1])], [constant("w", WEIGHT)])
    )
    graph.graph.node[-1].output[0] = "branch"
    identity = "x"
    if is_identity_quantized:
        identity = "xd" if is_conv_quantized else "x"
    graph.graph.node.extend([node("Add", f"branch {identity}", "sum"), node("Relu", "sum", "y")])
    return graph


def test_a_float_identity_beside_a_quantized_convolution_is_found() -> None:
    assert rules(lint(residual(True, False))) == {"residual"}
    assert lint(residual(True, True)) == []


def test_a_residual_with_a_float_convolution_can_stay_in_float() -> None:
    assert lint(residual(False, False)) == []


def test_an_add_after_an_activation_is_not_a_residual() -> None:
    graph = quantized()
    graph.graph.node[-1].output[0] = "branch"
    graph.graph.node.extend([node("Relu", "branch", "active"), node("Add", "active x", "y")])

    assert lint(graph) == []


def test_quantizing_between_a_convolution_and_its_activation_is_found() -> None:
    nodes = [
        node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
        node("QuantizeLinear", "c s z", "cq"),
        node("DequantizeLinear", "cq s z", "cd"),
        node("Relu", "cd", "y"),
    ]
    constants = [constant("w", WEIGHT), constant("s", np.float32(0.1)), constant("z", np.int8(0))]

    assert rules(lint(model(nodes, constants))) == {"split"}


def test_refusing_names_the_graph_the_node_and_how_many_others() -> None:
    graph = quantized(np.uint8(0), np.float32(0.1))

    with pytest.raises(
        ModelError,
        match=r"graph 'hand\.int8\.onnx'.*'make_xq' has a zero point of type uint8.*2 more: per tensor, zero point",
    ):
        refuse(graph, "hand.int8.onnx")
