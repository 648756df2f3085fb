"""Refuses networks that do not compute in float32: the FP16 and INT8 graphs are made from a float32 one, and compared with it."""

from pathlib import Path
from typing import Final

from onnx import ModelProto, TensorProto

from handmap.bundle.graph_view import attribute, view_graph
from handmap.types.errors import ModelError

OTHERS: Final[dict[int, str]] = {
    TensorProto.FLOAT16: "float16 (FP16)",
    TensorProto.BFLOAT16: "bfloat16",
    TensorProto.DOUBLE: "float64",
}
QUANTIZERS: Final = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "ConvInteger")


def refuse_other_floats(model: ModelProto, path: Path) -> None:
    """Raises ModelError if a graph has weights, inputs or casts in another floating-point type, or is quantized."""
    view = view_graph(model)
    graph = model.graph
    found = [(name, OTHERS.get(tensor.data_type)) for name, tensor in view.constants.items()]
    values = (*graph.input, *graph.output, *graph.value_info)
    found += [(value.name, OTHERS.get(value.type.tensor_type.elem_type)) for value in values]
    found += [
        (node.output[0], OTHERS.get(int(attribute(node, "to", 0)))) for node in graph.node if node.op_type == "Cast"
    ]
    found += [(node.output[0], "quantized (INT8)") for node in graph.node if node.op_type in QUANTIZERS]
    for name, kind in found:
        if kind is not None:
            refuse_type(path, name, kind)


def refuse_type(path: Path, name: str, kind: str) -> None:
    """Raises ModelError for a tensor of this kind."""
    raise ModelError(
        f"program {str(path)!r}: {name!r} is {kind}, wanted a network in float32, of which export makes FP16 and calibrate INT8 "
        "themselves; export the float32 network, such as network.float().eval()"
    )
