"""The batch axis of a graph: whatever an exporter called it, it becomes `batch`; a fixed one is refused."""

from collections.abc import Set
from pathlib import Path
from typing import Final

from onnx import ModelProto, ValueInfoProto

from handmap.types.errors import ModelError

BATCH: Final = "batch"
OF_PROGRAM: Final = "export it with dynamic_shapes={'depth': {0: torch.export.Dim('batch')}}"
OF_GRAPH: Final = (
    "export it with torch.onnx.export(network, (torch.zeros(2, 1, 128, 128),), 'network.onnx', input_names=['depth'], "
    "output_names=['joints'], dynamo=True, dynamic_shapes=({0: torch.export.Dim('batch')},))"
)


def name_batch(model: ModelProto, path: Path, advice: str) -> None:
    """Names the first axis of every input and output `batch`, and drops the shapes of what lies between that are expressions.

    Raises ModelError if that axis is fixed, since constants inside may depend on it, or another axis of an input is not.
    """
    batches = {
        value.type.tensor_type.shape.dim[0].dim_param for value in model.graph.input if value.type.tensor_type.shape.dim
    }
    keep_plain_shapes(model, batches)
    for value in model.graph.input:
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if axis > 0 and not size.HasField("dim_value"):
                raise ModelError(
                    f"program {str(path)!r}: tensor {value.name!r} has a symbolic axis {axis} ({size.dim_param!r}); "
                    "export it with a dynamic first axis only"
                )
    for value in (*model.graph.input, *model.graph.output):
        sizes = value.type.tensor_type.shape.dim
        if not sizes or sizes[0].HasField("dim_value"):
            found = f"fixed at {sizes[0].dim_value}" if sizes else "missing"
            raise ModelError(
                f"program {str(path)!r}: the batch size of {value.name!r} is {found}, wanted one for any number of hands; {advice}"
            )
        sizes[0].dim_param = BATCH


def keep_plain_shapes(model: ModelProto, batches: Set[str]) -> None:
    """Keeps the shapes of intermediate tensors whose only symbolic axis is the first, with one of these names; it becomes `batch`.

    They are optional. Exporters and the simplifier name other axes by expressions such as 2*s77, or make up names.
    """
    kept = []
    for value in model.graph.value_info:
        first, *rest = value.type.tensor_type.shape.dim or [None]
        if all(size.HasField("dim_value") for size in rest) and first is not None:
            if first.HasField("dim_value"):
                kept.append(value)
            elif first.dim_param in batches:
                first.dim_param = BATCH
                kept.append(value)
    shapes = [ValueInfoProto.FromString(value.SerializeToString()) for value in kept]
    del model.graph.value_info[:]
    model.graph.value_info.extend(shapes)
