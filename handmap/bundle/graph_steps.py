"""Reads the type of an INT8 graph's step sizes from the file itself: neither board nor host extra has the onnx package.

Only the few fields that lead there are parsed, by their numbers in onnx.proto; everything else is skipped by length.
"""

from handmap.bundle.protobuf import read_fields
from handmap.types.errors import ModelError

MODEL_GRAPH = 7
GRAPH_NODE, GRAPH_INITIALISER = 1, 5
NODE_INPUT, NODE_OP = 1, 4
TENSOR = TENSOR_TYPE, TENSOR_NAME = 2, 8
FLOAT = 1  # TensorProto.DataType
QUANTISERS = (b"QuantizeLinear", b"DequantizeLinear")
STEP_SLOT = 1  # among a quantizer's inputs


def has_float_steps(content: bytes) -> bool:
    """Whether every step size in the graph is an FP32 initializer.

    Raises ModelError if the bytes are not an ONNX graph.
    """
    steps: set[bytes] = set()
    types: dict[bytes, int] = {}
    try:
        for number, graph, _ in read_fields(memoryview(content)):
            for part, item, _ in read_fields(graph) if number == MODEL_GRAPH else ():
                if part == GRAPH_NODE:
                    steps.update(_step_of(item))
                elif part == GRAPH_INITIALISER:
                    facts = {field: (bytes(text), value) for field, text, value in read_fields(item) if field in TENSOR}
                    types[facts[TENSOR_NAME][0]] = facts[TENSOR_TYPE][1]
    except (IndexError, KeyError) as error:
        raise ModelError("graph: not an ONNX graph, or truncated; quantize the bundle again") from error
    return all(types.get(step) == FLOAT for step in steps)


def _step_of(node: memoryview) -> list[bytes]:
    """The name of a quantizer's step size; empty for any other node."""
    fields = [(number, bytes(text)) for number, text, _ in read_fields(node) if number in (NODE_INPUT, NODE_OP)]
    if not any(number == NODE_OP and text in QUANTISERS for number, text in fields):
        return []
    return [[text for number, text in fields if number == NODE_INPUT][STEP_SLOT]]
