"""An ONNX graph with lookup tables, for lint and quantization alike. The only module here that imports onnx."""

from dataclasses import dataclass, field
from pathlib import Path

from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, load_from_string

from handmap.files.reading import MAX_MODEL_BYTES, read_bytes
from handmap.types.errors import ModelError

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class GraphView:
    """A model with lookup tables: initializers by name, and the producer and consumers of each tensor."""

    model: ModelProto
    constants: dict[str, TensorProto] = field(default_factory=dict)
    makers: dict[str, NodeProto] = field(default_factory=dict)
    readers: dict[str, list[NodeProto]] = field(default_factory=dict)


def read_model(path: Path) -> ModelProto:
    """The ONNX model in a file.

    Raises ModelError.
    """
    try:
        return load_from_string(read_bytes(path, MAX_MODEL_BYTES))
    except OSError as error:
        raise ModelError(f"graph {str(path)!r} cannot be read ({error.strerror}); name an ONNX file") from error
    except Exception as error:  # the parser can raise anything on malformed bytes
        raise ModelError(f"graph {str(path)!r} cannot be read as ONNX ({error}); export it again") from error


def view_graph(model: ModelProto) -> GraphView:
    """Builds the lookup tables of a model's main graph; Constant nodes count as initializers."""
    view = GraphView(model)
    view.constants.update((tensor.name, tensor) for tensor in model.graph.initializer)
    for node in model.graph.node:
        for name in node.output:
            view.makers[name] = node
        for name in node.input:
            view.readers.setdefault(name, []).append(node)
        if node.op_type == "Constant":
            view.constants.update((node.output[0], entry.t) for entry in node.attribute if entry.name == "value")
    return view


def weight_axis(node: NodeProto) -> int:
    """The output-channel axis of a layer's weight (its second input)."""
    if node.op_type == "Gemm":
        return 0 if int(attribute(node, "transB", 0)) else 1
    return 0 if node.op_type == "Conv" else 1


def attribute(node: NodeProto, name: str, default: float) -> float:
    """A numeric attribute of the node."""
    for entry in node.attribute:
        if entry.name == name:
            return float(entry.i if entry.type == AttributeProto.INT else entry.f)
    return default


def residual_inputs(view: GraphView, node: NodeProto) -> list[tuple[str, str]]:
    """For an Add that TensorRT fuses into a convolution: (the convolution's output, the other input), in both orders if both fit.

    The convolution must feed nothing but the Add: no activation between.
    """
    if node.op_type != "Add" or any(name in view.constants for name in node.input):
        return []
    outputs = {value.name for value in view.model.graph.output}
    first, second = node.input
    return [
        (branch, other)
        for branch, other in ((first, second), (second, first))
        if branch in view.makers
        and view.makers[branch].op_type in ("Conv", "ConvTranspose")
        and branch not in outputs
        and len(view.readers[branch]) == 1
    ]


def is_quantized(view: GraphView, node: NodeProto) -> bool:
    """Whether a layer reads its input through a DequantizeLinear."""
    maker = view.makers.get(node.input[0])
    return maker is not None and maker.op_type == "DequantizeLinear"


def expose(model: ModelProto, names: list[str]) -> bytes:
    """The bytes of the model with these tensors among its outputs, for inspecting intermediate values."""
    exposed = ModelProto()
    exposed.CopyFrom(model)
    known = {value.name for value in model.graph.output}
    exposed.graph.output.extend(ValueInfoProto(name=name) for name in dict.fromkeys(names) if name not in known)
    content: bytes = exposed.SerializeToString()
    return content
