"""A network in conventions of its own, brought to the bundle's: the ONNX graph gets the conversion, so that every engine,
every precision and every verb is given the same input and the same joint order.
"""

import numpy as np
import onnx
from msgspec.structs import replace
from onnx import helper, numpy_helper

from handmap.bundle.facts import STANDARD, Normalization
from handmap.bundle.model_metadata import ModelMetadata
from handmap.types.arrays import Array, Float32
from handmap.types.joints import HAND21

INPUT = "depth"
ORDERED = ("joints", "guidance", "spread")  # outputs with one entry per joint on axis 1
INNER = "_of_network"


def is_standard(facts: ModelMetadata) -> bool:
    """Whether the network needs no conversion."""
    return facts.joint_names == HAND21 and facts.normalization == STANDARD


def standard_facts(facts: ModelMetadata) -> ModelMetadata:
    """The facts of the network with the conversion in its graph."""
    return replace(facts, joint_names=HAND21, normalization=STANDARD)


def to_standard(model: onnx.ModelProto, facts: ModelMetadata) -> onnx.ModelProto:
    """The model with input and joints as in every bundle; the same one if nothing has to be converted."""
    if is_standard(facts):
        return model
    converted = onnx.ModelProto()
    converted.CopyFrom(model)
    if facts.normalization != STANDARD:
        _convert_input(converted.graph, facts.normalization)
    if facts.joint_names != HAND21:
        _convert_joints(converted.graph, joint_order(facts.joint_names))
    return converted


def normalized_as(depth: Float32, stated: Normalization) -> Float32:
    """Crops in [-1, 1], 1 the background, as this network was trained on them: what `to_standard` does, with NumPy."""
    half, middle = (stated.far - stated.near) / 2, (stated.far + stated.near) / 2
    return np.where(depth < 1, depth * np.float32(half) + np.float32(middle), np.float32(stated.background))


def joint_order(names: tuple[str, ...]) -> tuple[int, ...]:
    """For each joint of hand21, its index among the names."""
    return tuple(names.index(name) for name in HAND21)


def _convert_input(graph: onnx.GraphProto, stated: Normalization) -> None:
    """Puts the affine map of the depth, and the value of the background, before everything that reads the input."""
    half, middle = (stated.far - stated.near) / 2, (stated.far + stated.near) / 2
    inner = INPUT + INNER
    for node in graph.node:
        node.input[:] = [inner if name == INPUT else name for name in node.input]
    constants = {"half_range": half, "middle": middle, "background": stated.background, "far_face": 1.0}
    graph.initializer.extend(_constant(name, np.float32(value)) for name, value in constants.items())
    nodes = [
        helper.make_node("Mul", [INPUT, _named("half_range")], [_named("scaled")]),
        helper.make_node("Add", [_named("scaled"), _named("middle")], [_named("affine")]),
        helper.make_node("Less", [INPUT, _named("far_face")], [_named("is_measured")]),
        helper.make_node("Where", [_named("is_measured"), _named("affine"), _named("background")], [inner]),
    ]
    _declare(graph, graph.input[0], inner)
    for place, node in enumerate(nodes):
        node.name = f"normalize_{node.op_type}"
        graph.node.insert(place, node)


def _convert_joints(graph: onnx.GraphProto, order: tuple[int, ...]) -> None:
    """Permutes the outputs that have an entry per joint."""
    graph.initializer.append(_constant("joint_order", np.asarray(order, np.int64)))
    for value in [value for value in graph.output if value.name in ORDERED]:
        output = value.name
        _declare(graph, value, output + INNER)
        for node in graph.node:
            node.input[:] = [output + INNER if name == output else name for name in node.input]
            node.output[:] = [output + INNER if name == output else name for name in node.output]
        gather = helper.make_node("Gather", [output + INNER, _named("joint_order")], [output], axis=1)
        gather.name = f"hand21_{output}"
        graph.node.append(gather)


def _declare(graph: onnx.GraphProto, like: onnx.ValueInfoProto, name: str) -> None:
    """States the type and shape of a new tensor, which shape inference would name differently."""
    declared = graph.value_info.add()
    declared.CopyFrom(like)
    declared.name = name


def _constant(name: str, value: Array) -> onnx.TensorProto:
    return numpy_helper.from_array(value, _named(name))


def _named(name: str) -> str:
    return f"handmap_{name}"
