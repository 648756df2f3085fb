"""Reads the type of an INT8 graph's step sizes from the file itself: neither board nor host extra has the onnx package.

Only the few fields that lead there are parsed, by their numbers in onnx.proto; everything else is skipped by length.
"""

from collections.abc import Iterator

from handmap.types.errors import ModelError

MODEL_GRAPH = 7
GRAPH_NODE, GRAPH_INITIALISER = 1, 5
NODE_INPUT, NODE_OP = 1, 4
TENSOR = TENSOR_TYPE, TENSOR_NAME = 2, 8
FLOAT = 1  # TensorProto.DataType
QUANTISERS = (b"QuantizeLinear", b"DequantizeLinear")
STEP_SLOT = 1  # among a quantizer's inputs
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # protobuf wire types
FIXED_BYTES = {FIXED64: 8, FIXED32: 4}


def has_float_steps(content: bytes) -> bool:
    """Whether every step size in the graph is an FP32 initializer.

    Raises ModelError if the bytes are not an ONNX graph.
    """
    steps: set[bytes] = set()
    types: dict[bytes, int] = {}
    try:
        for number, graph, _ in _fields(memoryview(content)):
            for part, item, _ in _fields(graph) if number == MODEL_GRAPH else ():
                if part == GRAPH_NODE:
                    steps.update(_step_of(item))
                elif part == GRAPH_INITIALISER:
                    facts = {field: (bytes(text), value) for field, text, value in _fields(item) if field in TENSOR}
                    types[facts[TENSOR_NAME][0]] = facts[TENSOR_TYPE][1]
    except (IndexError, KeyError) as error:
        raise ModelError("graph: not an ONNX graph, or truncated; quantize the bundle again") from error
    return all(types.get(step) == FLOAT for step in steps)


def _step_of(node: memoryview) -> list[bytes]:
    """The name of a quantizer's step size; empty for any other node."""
    fields = [(number, bytes(text)) for number, text, _ in _fields(node) if number in (NODE_INPUT, NODE_OP)]
    if not any(number == NODE_OP and text in QUANTISERS for number, text in fields):
        return []
    return [[text for number, text in fields if number == NODE_INPUT][STEP_SLOT]]


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview, int]]:
    """The number of each field of a protobuf message, and its bytes, or its value if it is a varint."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == VARINT:
            start = at
            value, at = _varint(message, at)
            yield key >> 3, message[start:at], value
            continue
        length = FIXED_BYTES.get(kind, 0)
        if kind == LENGTH:
            length, at = _varint(message, at)
        elif not length:
            raise KeyError(kind)
        if at + length > len(message):
            raise IndexError("cut short")
        yield key >> 3, message[at : at + length], 0
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
