"""What no graph of a bundle may hold, read from the file itself: loops, and weights that lie elsewhere.

Control flow runs for as long as the graph's author wants; nothing hashes weights in a file beside the graph.
"""

from collections.abc import Iterator
from typing import Final

from handmap.bundle.protobuf import read_fields
from handmap.types.errors import ModelError

# Field numbers in onnx.proto.
MODEL_GRAPH, MODEL_FUNCTION = 7, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_SPARSE, FUNCTION_NODE = 1, 5, 15, 7
NODE_OP, NODE_ATTRIBUTE = 4, 5
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = 5, 6, 10, 11
SPARSE_VALUES, SPARSE_INDICES = 1, 2
TENSOR_EXTERNAL = 13
LOOPS: Final = (b"Loop",)


def refuse_odd_graph(content: bytes, where: str) -> None:
    """Raises ModelError if an ONNX graph has a loop, or weights in another file; `where` names it."""
    try:
        for part, message in _parts(content):
            if part == "op" and bytes(message) in LOOPS:
                raise ModelError(
                    f"graph {where!r}: it has a Loop, which may never end, wanted a graph without one; export the network with "
                    "its loops unrolled"
                )
            if part == "tensor" and any(number == TENSOR_EXTERNAL for number, _, _ in read_fields(message)):
                raise ModelError(
                    f"graph {where!r}: it has weights in another file, which nothing in the bundle hashes, wanted all in the graph; "
                    "export the bundle again"
                )
    except (IndexError, KeyError) as error:
        raise ModelError(f"graph {where!r}: not an ONNX graph, or truncated; export it again") from error


def _parts(content: bytes) -> Iterator[tuple[str, memoryview]]:
    """The operator names and tensors of a model, in subgraphs and functions too; not recursive, whatever the file nests."""
    waiting: list[tuple[str, memoryview]] = [("model", memoryview(content))]
    while waiting:
        kind, message = waiting.pop()
        for number, field, _ in read_fields(message):
            inner = _INSIDE[kind].get(number)
            if inner in ("op", "tensor"):
                yield inner, field
            elif inner is not None:
                waiting.append((inner, field))


_INSIDE: Final[dict[str, dict[int, str]]] = {
    "model": {MODEL_GRAPH: "graph", MODEL_FUNCTION: "function"},
    "graph": {GRAPH_NODE: "node", GRAPH_INITIALIZER: "tensor", GRAPH_SPARSE: "sparse"},
    "function": {FUNCTION_NODE: "node"},
    "node": {NODE_OP: "op", NODE_ATTRIBUTE: "attribute"},
    "attribute": {
        ATTRIBUTE_TENSOR: "tensor", ATTRIBUTE_GRAPH: "graph", ATTRIBUTE_TENSORS: "tensor", ATTRIBUTE_GRAPHS: "graph",
    },
    "sparse": {SPARSE_VALUES: "tensor", SPARSE_INDICES: "tensor"},
}  # fmt: skip
