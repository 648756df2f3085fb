"""Inserts QuantizeLinear and DequantizeLinear into a graph where TensorRT fuses them.

ONNX Runtime's quantizer can place the same pairs, but only for whole operators. It cannot quantize a single input of an Add,
which a residual needs if its next convolution stays in float. See `docs/decisions.md`.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from handmap.bundle.graph_lint import refuse
from handmap.bundle.graph_view import GraphView, residual_inputs, view_graph, weight_axis
from handmap.types.errors import ModelError

from .fit import QuantizedWeight
from .layers import Layer, list_layers
from .ranges import INT8_LEVELS

HALF_SCALE_OPSET: Final = 19
SHARERS: Final = ("Add",)  # operators that also read the INT8 copy of a quantized tensor, so that no float copy is kept


def tensors_to_quantize(model: ModelProto, float_layers: frozenset[str]) -> list[str]:
    """The activations that get a Q/DQ pair if these layers stay in float, in order of first use.

    The inputs of quantized layers, and the other input of an Add that a quantized convolution feeds directly.
    """
    view = view_graph(model)
    chosen = {layer.node for layer in list_layers(model) if layer.name not in float_layers}
    found: dict[str, None] = {}
    for node in model.graph.node:
        if node.name in chosen:
            found[node.input[0]] = None
        for branch, other in residual_inputs(view, node):
            if view.makers[branch].name in chosen:
                found[other] = None
                break  # if both inputs are convolutions, quantizing one is enough
    return list(found)


def quantizable_tensors(model: ModelProto) -> list[str]:
    """The activations that any choice of float layers could quantize."""
    view = view_graph(model)
    read = [layer.input for layer in list_layers(model)]
    added = [other for node in model.graph.node for _, other in residual_inputs(view, node)]
    return list(dict.fromkeys([*read, *added]))


def quantize_graph(
    model: ModelProto,
    thresholds: Mapping[str, float],
    float_layers: frozenset[str],
    fitted: Mapping[str, QuantizedWeight],
) -> ModelProto:
    """The graph, on the body (FP32 or FP16) of `model`, with all layers but these in INT8.

    thresholds holds the magnitude of the largest level for each activation; layers without a fit have their weights rounded.
    The result is deterministic.
    Raises ModelError if the result is not valid ONNX or fails the lint.
    """
    layers = list_layers(model)
    _refuse_unknown(float_layers, layers)
    if len(float_layers) == len(layers):
        raise ModelError(
            "quantization: all layers are set to stay in float, wanted at least one in INT8; use the FP16 graph"
        )
    quantized = ModelProto()
    quantized.CopyFrom(model)
    view = view_graph(quantized)
    kind = _body_type(view, layers)
    if kind == np.float16:
        for entry in quantized.opset_import:
            entry.version = max(entry.version, HALF_SCALE_OPSET)  # 19 only widens what 18 has
    chosen = {layer.node: layer for layer in layers if layer.name not in float_layers}
    pairs = {
        name: _activation_pair(quantized, name, thresholds[name], kind)
        for name in tensors_to_quantize(model, float_layers)
    }
    nodes: list[NodeProto] = []
    placed: set[str] = set()
    for node in view.model.graph.node:
        for slot, name in enumerate(node.input):
            if name in pairs and ((node.name in chosen and slot == 0) or node.op_type in SHARERS):
                nodes.extend(pairs[name] if name not in placed else ())
                placed.add(name)
                node.input[slot] = pairs[name][1].output[0]
        if node.name in chosen:
            layer = fitted.get(chosen[node.name].name) or _rounded(view, node)
            nodes.append(_place_weight(quantized, node, layer))
        nodes.append(node)
    kept = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del quantized.graph.node[:]
    quantized.graph.node.extend(kept)
    _drop_unused(quantized)
    _check(quantized)
    return quantized


def _refuse_unknown(float_layers: Iterable[str], layers: list[Layer]) -> None:
    known = [layer.name for layer in layers]
    for name in sorted(float_layers):
        if name not in known:
            raise ModelError(
                f"quantization: the graph has no layer {name!r}, its layers are {', '.join(known)}; use one of these"
            )


def _body_type(view: GraphView, layers: list[Layer]) -> type[np.floating]:
    kinds = {view.constants[layer.weight].data_type for layer in layers}
    if kinds == {TensorProto.FLOAT16}:
        return np.float16
    if kinds == {TensorProto.FLOAT}:
        return np.float32
    found = ", ".join(sorted(TensorProto.DataType.Name(kind).lower() for kind in kinds))
    raise ModelError(f"quantization: found weights of type {found or 'none'}, wanted all float32 or all float16")


def _activation_pair(
    model: ModelProto, name: str, threshold: float, kind: type[np.floating]
) -> tuple[NodeProto, NodeProto]:
    scale = _scales(np.array(threshold, np.float64), kind)
    model.graph.initializer.extend(
        [numpy_helper.from_array(scale, f"{name}_scale"), numpy_helper.from_array(np.array(0, np.int8), f"{name}_zero")]
    )
    facts = [f"{name}_scale", f"{name}_zero"]
    return (
        helper.make_node("QuantizeLinear", [name, *facts], [f"{name}_int8"], f"{name}_quantize"),
        helper.make_node("DequantizeLinear", [f"{name}_int8", *facts], [f"{name}_dequantized"], f"{name}_dequantize"),
    )


def _rounded(view: GraphView, node: NodeProto) -> QuantizedWeight:
    """The node's weight as integers, with a step for each output channel."""
    weight, axis = numpy_helper.to_array(view.constants[node.input[1]]), weight_axis(node)
    wide = weight.astype(np.float64)
    others = tuple(index for index in range(wide.ndim) if index != axis)
    steps = _scales(np.abs(wide).max(axis=others), weight.dtype.type)
    along = steps.astype(np.float64).reshape([-1 if index == axis else 1 for index in range(wide.ndim)])
    return QuantizedWeight(round_kernels(wide / along).astype(np.int8), steps, None)


def _place_weight(model: ModelProto, node: NodeProto, layer: QuantizedWeight) -> NodeProto:
    """Connects the node to this weight and bias; returns the DequantizeLinear that produces the weight."""
    stem = f"{node.input[1]}_{node.name}"
    model.graph.initializer.extend(
        [
            numpy_helper.from_array(layer.levels, f"{stem}_int8"),
            numpy_helper.from_array(layer.steps, f"{stem}_scale"),
            numpy_helper.from_array(np.zeros(len(layer.steps), np.int8), f"{stem}_zero"),
        ]
    )
    if layer.bias is not None:
        model.graph.initializer.append(numpy_helper.from_array(layer.bias, f"{stem}_bias"))
        node.input[2] = f"{stem}_bias"
    inputs = [f"{stem}_int8", f"{stem}_scale", f"{stem}_zero"]
    node.input[1] = f"{stem}_dequantized"
    return helper.make_node("DequantizeLinear", inputs, [node.input[1]], f"{stem}_dequantize", axis=weight_axis(node))


def round_kernels(exact: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rounds weights (A, B, ...), given in steps, such that each kernel (...) keeps its sum to within half a step.

    Weights are rounded to nearest, except that those closest to a tie go the other way as needed. Most of a crop is background,
    where a kernel sees a constant and its output is proportional to its sum; an error of the sum is the same everywhere and
    does not average out.
    """
    kernels = exact.reshape(exact.shape[0], exact.shape[1], -1) if exact.ndim > 2 else exact[..., None]
    rounded = np.clip(np.rint(kernels), -INT8_LEVELS, INT8_LEVELS)
    short = np.rint((kernels - rounded).sum(axis=-1, keepdims=True))  # steps missing from the sum
    rank = np.argsort(np.argsort(-(kernels - rounded) * np.sign(short), axis=-1, kind="stable"), axis=-1, kind="stable")
    moved: NDArray[np.float64] = np.clip(rounded + np.sign(short) * (rank < np.abs(short)), -INT8_LEVELS, INT8_LEVELS)
    return moved.reshape(exact.shape)


def _scales(largest: NDArray[np.float64], kind: type[np.floating]) -> NDArray[np.floating]:
    """Step sizes for these maximum magnitudes in the body's type; 1 for a channel of zeros."""
    return np.where(largest > 0, largest / INT8_LEVELS, 1.0).astype(kind)


def _drop_unused(model: ModelProto) -> None:
    read = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _check(model: ModelProto) -> None:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"quantization: the quantized graph is not valid ONNX: {error}; report the network") from error
    refuse(model, "INT8")
