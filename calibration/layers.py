"""The layers of a graph that can run in INT8: their names, inputs, and multiply-adds."""

import math
from dataclasses import dataclass

import onnx
from onnx import ModelProto, NodeProto

from handmap.bundle.graph_view import WEIGHTED, GraphView, view_graph


@dataclass(frozen=True)
class Layer:
    """A convolution or matrix product with constant weights; macs are multiply-adds for one crop."""

    name: str
    node: str  # name of its node
    input: str  # the activation tensor that it reads
    weight: str
    macs: int


def list_layers(model: ModelProto) -> list[Layer]:
    """All such layers in execution order, named after their weights: `stem.0.0.weight` is layer `stem.0.0`."""
    view = view_graph(onnx.shape_inference.infer_shapes(model))
    found = [node for node in view.model.graph.node if node.op_type in WEIGHTED and node.input[1] in view.constants]
    names = [node.input[1].removesuffix(".weight") for node in found]
    unique = [
        name if names.count(name) == 1 else f"{name}@{node.name}" for name, node in zip(names, found, strict=True)
    ]
    return [
        Layer(name, node.name, node.input[0], node.input[1], _count_macs(view, node))
        for name, node in zip(unique, found, strict=True)
    ]


def int8_share(layers: list[Layer], float_layers: frozenset[str]) -> float:
    """The fraction of all multiply-adds that run in INT8 if these layers stay in float."""
    total = sum(layer.macs for layer in layers)
    return sum(layer.macs for layer in layers if layer.name not in float_layers) / total if total else 0.0


def _count_macs(view: GraphView, node: NodeProto) -> int:
    shapes = {
        value.name: [size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*view.model.graph.value_info, *view.model.graph.input, *view.model.graph.output)
    }
    weights: int = math.prod(view.constants[node.input[1]].dims)
    # A transposed convolution applies its weights once per input pixel, the others once per output pixel.
    pixels = shapes.get(node.input[0] if node.op_type == "ConvTranspose" else node.output[0], [])[2:]
    macs: int = weights * math.prod(size for size in pixels if size)
    return macs
