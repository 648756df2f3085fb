"""A third-party ONNX graph in place of a trained program: all that is known is the file and its metadata."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from handmap.bundle.graph_contents import refuse_odd_graph
from handmap.bundle.graph_lint import OPSETS
from handmap.bundle.model_metadata import ModelMetadata
from handmap.bundle.tensors import HAND_OUTPUTS
from handmap.engines.onnx_engine import run_graph
from handmap.system.config import read_config
from handmap.types.arrays import Float32
from handmap.types.errors import ModelError

from .batch_axis import OF_GRAPH, name_batch
from .float_types import refuse_other_floats
from .graph_file import read_graph
from .simplify import check_same_outputs


@dataclass(frozen=True)
class GivenGraph:
    """A complete FP32 ONNX graph and the metadata of its network."""

    model: onnx.ModelProto
    facts: ModelMetadata
    sha256: str
    path: Path


def load_graph(path: Path, facts_path: Path | None) -> GivenGraph:
    """The ONNX graph at `path`, with the metadata that a trained program would carry.

    Raises ModelError if it cannot be read, is invalid, or comes without metadata. Its tensors are checked like any graph's.
    """
    if facts_path is None:
        raise ModelError(
            f"graph {str(path)!r}: an ONNX file does not contain the size of the crop cube; give its metadata with --model-facts F.yaml"
        )
    model, sha256 = read_graph(path)
    refuse_odd_graph(model.SerializeToString(), str(path))
    refuse_other_floats(model, path)
    name_batch(model, path, OF_GRAPH)
    model = _to_opset(model, path)
    check_same_outputs(model, path)
    names = {value.name for value in model.graph.input}, {value.name for value in model.graph.output}
    if names[0] != {"depth"} or "joints" not in names[1] or not names[1] <= set(HAND_OUTPUTS):
        raise ModelError(
            f"graph {str(path)!r}: its inputs are {sorted(names[0])} and its outputs {sorted(names[1])}, wanted depth, and joints "
            f"with or without {', '.join(HAND_OUTPUTS[1:])}; rename them in the export"
        )
    return GivenGraph(model, read_config(facts_path, ModelMetadata), sha256, path)


def _to_opset(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The model in the opset that TensorRT and the calibration read; what exporters write by default is newer or older."""
    found = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if found in OPSETS:
        return model
    try:
        return onnx.version_converter.convert_version(model, OPSETS[0])
    except Exception as error:  # the converter can raise anything on an operator that it does not know
        raise ModelError(
            f"graph {str(path)!r}: its opset {found} cannot be converted to {OPSETS[0]} ({error}); export it with opset_version={OPSETS[0]}"
        ) from error


def run_as_written(given: GivenGraph, depth: Float32) -> Float32:
    """Joints (N, J, 3) for depth (N, 1, 128, 128), computed node by node as the file is written, without optimization."""
    joints: Float32 = run_graph(given.model.SerializeToString(), depth, ("joints",), is_optimized=False)["joints"]
    wanted = (len(depth), len(given.facts.joint_names), 3)
    if joints.shape != wanted or joints.dtype != np.float32:
        raise ModelError(
            f"graph {str(given.path)!r}: for {len(depth)} crops its joints are {joints.dtype} of shape {joints.shape}, "
            f"wanted float32 of {wanted}; change the network's outputs"
        )
    return joints
