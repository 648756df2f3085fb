"""Folds constants, simplifies an ONNX model, and runs the full checker on it."""

from pathlib import Path

import onnx
import onnxsim

from handmap.types.errors import ModelError

from .batch_axis import BATCH, keep_plain_shapes


def simplify(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The model with constants folded and redundant nodes removed; `path` names the program in messages.

    Raises ModelError if the simplifier's own check or the full checker fails.
    """
    simplified: onnx.ModelProto
    simplified, is_same = onnxsim.simplify(model)
    if not is_same:
        raise ModelError(
            f"program {str(path)!r}: the simplified graph computes different values; report the network to onnxsim"
        )
    keep_plain_shapes(simplified, {BATCH})
    check_same_outputs(simplified, path)
    return simplified


def check_same_outputs(model: onnx.ModelProto, path: Path) -> None:
    """Raises ModelError if a model is not valid ONNX, including its shapes and types."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        found = " ".join(str(error).split()).rstrip(".")  # it says it in several lines
        raise ModelError(
            f"program {str(path)!r}: the exported graph is not valid ONNX: {found}; change the network"
        ) from error
