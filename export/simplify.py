"""Folds and simplifies an ONNX model, and puts it through the full checker."""

from pathlib import Path

import onnx
import onnxsim

from handmap.types.errors import ModelError


def simplify(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The model with constants folded and needless nodes gone; `path` names its program in messages.

    Raises ModelError if the simplifier's own check or the full checker refuses it.
    """
    simplified: onnx.ModelProto
    simplified, is_same = onnxsim.simplify(model)
    if not is_same:
        raise ModelError(
            f"program {str(path)!r}: the simplified graph computes something else; report the network to onnxsim"
        )
    check_same_outputs(simplified, path)
    return simplified


def check_same_outputs(model: onnx.ModelProto, path: Path) -> None:
    """Refuses a model that is not valid ONNX, shapes and types included."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(
            f"program {str(path)!r}: the graph made from it is not valid ONNX: {error}; change the network"
        ) from error
