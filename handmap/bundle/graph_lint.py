"""Finds what TensorRT would misread or reject in an ONNX graph without its parser reporting it.

`lint` lists findings, `refuse` raises; export and calibration check every graph before it enters a bundle.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from handmap.bundle.graph_view import (
    WEIGHTED,
    GraphView,
    attribute,
    is_quantized,
    residual_inputs,
    view_graph,
    weight_axis,
)
from handmap.types.errors import ModelError

OPSETS = (18, 19)  # TensorRT 10.3 reads up to 20; 19 allows FP16 Q/DQ scales
BATCH = "batch"
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
# Inputs that ONNX itself requires as int64: shapes, axes, indices.
INT64_SLOTS = {
    "Expand": (1,), "Gather": (1,), "Pad": (1, 3), "Reshape": (1,), "Resize": (3,), "Slice": (1, 2, 3, 4), "Split": (1,),
    "Squeeze": (1,), "Tile": (1,), "TopK": (1,), "Unsqueeze": (1,), "ReduceMean": (1,), "ReduceSum": (1,), "ReduceMax": (1,),
}  # fmt: skip


@dataclass(frozen=True)
class LintFinding:
    """One problem in a graph: the rule, the node or tensor, and a clause with what was found and wanted."""

    rule: str
    where: str
    what: str


def lint(model: ModelProto) -> list[LintFinding]:
    """All problems of the graph; an empty list if there are none."""
    view = view_graph(model)
    rules = (
        _opset, _symbolic_axes, _wide_types, _bad_weights, _zero_points, _integer_bias, _per_tensor_weights,
        _split_activations, _float_residuals,
    )  # fmt: skip
    return [finding for rule in rules for finding in rule(view)]


def refuse(model: ModelProto, where: str) -> None:
    """Raises ModelError, with the first finding and the number of others, if there is any; `where` names the graph."""
    findings = lint(model)
    if findings:
        first, rest = findings[0], len(findings) - 1
        more = f" ({rest} more: {', '.join(sorted({finding.rule for finding in findings[1:]}))})" if rest else ""
        raise ModelError(
            f"graph {where!r}: TensorRT would misread or reject it: {first.where!r} {first.what}{more}; fix the code that produces the graph"
        )


def _opset(view: GraphView) -> Iterator[LintFinding]:
    for entry in view.model.opset_import:
        if entry.domain in ("", "ai.onnx"):
            if entry.version not in OPSETS:
                yield LintFinding("opset", "opset", f"is {entry.version}, wanted one of {OPSETS}")
        elif any(node.domain == entry.domain for node in view.model.graph.node):
            yield LintFinding("opset", entry.domain, "is an operator domain that TensorRT does not have")


def _symbolic_axes(view: GraphView) -> Iterator[LintFinding]:
    declared = {value.name for value in (*view.model.graph.input, *view.model.graph.output)}
    graph = view.model.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            is_named = size.HasField("dim_param")
            is_unknown = not is_named and not size.HasField("dim_value")
            if (is_named and (axis, size.dim_param) != (0, BATCH)) or (is_unknown and (axis or value.name in declared)):
                shown = repr(size.dim_param) if is_named else "unnamed"
                yield LintFinding(
                    "symbolic axis", value.name, f"has axis {axis} symbolic ({shown}), wanted only axis 0, {BATCH!r}"
                )


def _wide_types(view: GraphView) -> Iterator[LintFinding]:
    for name, tensor in view.constants.items():
        readers = view.readers.get(name, [])
        if tensor.data_type == TensorProto.DOUBLE:
            yield LintFinding("float64", name, "is float64, wanted float32 or float16")
        if tensor.data_type == TensorProto.INT64 and not all(_takes_int64(node, name) for node in readers):
            yield LintFinding("int64", name, "is int64 but not a shape or index")
    graph = view.model.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        kind = value.type.tensor_type.elem_type
        if kind in (TensorProto.DOUBLE, TensorProto.INT64) and value.name not in view.constants:
            yield LintFinding(
                "float64" if kind == TensorProto.DOUBLE else "int64", value.name, "is computed in 64 bits"
            )
    for node in graph.node:
        if node.op_type == "Cast" and int(attribute(node, "to", 0)) in (TensorProto.DOUBLE, TensorProto.INT64):
            yield LintFinding("int64", node.name or node.output[0], "casts to a 64-bit type")


def _takes_int64(node: NodeProto, name: str) -> bool:
    return all(slot in INT64_SLOTS.get(node.op_type, ()) for slot, read in enumerate(node.input) if read == name)


def _bad_weights(view: GraphView) -> Iterator[LintFinding]:
    for name, tensor in view.constants.items():
        if tensor.data_type in FLOATS and not np.isfinite(numpy_helper.to_array(tensor).astype(np.float64)).all():
            yield LintFinding("not finite", name, "holds NaN or infinity, wanted finite weights")


def _zero_points(view: GraphView) -> Iterator[LintFinding]:
    for node in view.model.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        where = node.name or node.output[0]
        if len(node.input) < 3 or not node.input[2]:
            if node.op_type == "QuantizeLinear":
                yield LintFinding(
                    "zero point", where, "has no zero point and so quantizes to uint8, wanted an int8 zero"
                )
            continue
        tensor = view.constants.get(node.input[2])
        if tensor is None:
            yield LintFinding("zero point", where, "computes its zero point, wanted a constant int8 zero")
        elif tensor.data_type == TensorProto.INT32:
            continue  # the rule for biases explains it better
        elif tensor.data_type != TensorProto.INT8:
            found = TensorProto.DataType.Name(tensor.data_type).lower()
            yield LintFinding(
                "zero point", where, f"has a zero point of type {found}, wanted int8: it would be read as int8"
            )
        elif numpy_helper.to_array(tensor).any():
            yield LintFinding("zero point", where, "has a zero point that is not zero, wanted symmetric quantization")


def _integer_bias(view: GraphView) -> Iterator[LintFinding]:
    for node in view.model.graph.node:
        if node.op_type == "DequantizeLinear":
            tensor = view.constants.get(node.input[0])
            if tensor is not None and tensor.data_type == TensorProto.INT32:
                yield LintFinding(
                    "int32", node.name or node.output[0], "dequantizes an int32 bias, wanted the bias in float"
                )


def _per_tensor_weights(view: GraphView) -> Iterator[LintFinding]:
    for node in view.model.graph.node:
        if node.op_type not in WEIGHTED:
            continue
        maker = view.makers.get(node.input[1])
        if maker is None or maker.op_type != "DequantizeLinear":
            continue
        source = maker.input[0]
        if source in view.makers and view.makers[source].op_type == "QuantizeLinear":
            source = view.makers[source].input[0]  # a float weight with its own Q/DQ
        if source not in view.constants:
            continue
        axis = weight_axis(node)
        channels = view.constants[source].dims[axis]
        scale = view.constants.get(maker.input[1])
        found = list(scale.dims) if scale is not None else []
        if found != [channels] or int(attribute(maker, "axis", 1)) != axis:
            wanted = f"{channels} along axis {axis}"
            yield LintFinding(
                "per tensor", node.name or node.output[0], f"has weight scales of shape {tuple(found)}, wanted {wanted}"
            )


def _split_activations(view: GraphView) -> Iterator[LintFinding]:
    for node in view.model.graph.node:
        maker = view.makers.get(node.input[0]) if node.op_type == "QuantizeLinear" else None
        if maker is None or maker.op_type not in ("Conv", "ConvTranspose"):
            continue
        dequantized = [
            reader for reader in view.readers.get(node.output[0], []) if reader.op_type == "DequantizeLinear"
        ]
        if any(reader.op_type == "Relu" for pair in dequantized for reader in view.readers.get(pair.output[0], [])):
            yield LintFinding("split", node.name or node.output[0], f"stands between {maker.name!r} and its activation")


def _float_residuals(view: GraphView) -> Iterator[LintFinding]:
    for node in view.model.graph.node:
        for branch, other in residual_inputs(view, node):
            maker = view.makers.get(other)
            is_float = maker is None or maker.op_type != "DequantizeLinear"
            if is_float and is_quantized(view, view.makers[branch]):
                what = f"adds {other!r} in float to a quantized convolution, wanted Q/DQ on it so that they fuse"
                yield LintFinding("residual", node.name or node.output[0], what)
