"""A third-party ONNX graph in place of a trained program: all that is known is the file and its metadata."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from handmap.bundle.model_metadata import ModelMetadata
from handmap.bundle.tensors import HAND_OUTPUTS
from handmap.engines.onnx_engine import run_graph
from handmap.system.config import read_config
from handmap.types.arrays import Float32
from handmap.types.errors import ModelError

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
    try:
        content = path.read_bytes()
        model = onnx.load_from_string(content)
    except Exception as error:  # the parser can raise anything on malformed bytes
        raise ModelError(f"graph {str(path)!r} cannot be read as ONNX ({error}); export it again") from error
    check_same_outputs(model, path)
    names = {value.name for value in model.graph.input}, {value.name for value in model.graph.output}
    if names[0] != {"depth"} or "joints" not in names[1] or not names[1] <= set(HAND_OUTPUTS):
        raise ModelError(
            f"graph {str(path)!r}: its inputs are {sorted(names[0])} and its outputs {sorted(names[1])}, wanted depth, and joints "
            f"with or without {', '.join(HAND_OUTPUTS[1:])}; rename them in the export"
        )
    return GivenGraph(model, read_config(facts_path, ModelMetadata), hashlib.sha256(content).hexdigest(), path)


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
