"""Converts any `torch.export` program to an ONNX model with the contract's names. The only module of `export` that imports torch."""

import hashlib
import io
import logging
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from handmap.bundle.model_metadata import METADATA_FILE, ModelMetadata, decode_metadata
from handmap.bundle.tensors import HAND_OUTPUTS, hand_output_shapes
from handmap.files.arrays import refuse_bomb
from handmap.files.reading import MAX_MODEL_BYTES, read_bytes
from handmap.system.config import read_config
from handmap.types.arrays import Float32
from handmap.types.errors import ModelError
from handmap.types.values import CROP_PX

from .batch_axis import OF_PROGRAM, name_batch
from .float_types import refuse_type
from .other_forms import name_other_form

OPSET = 18


@dataclass(frozen=True)
class TrainedProgram:
    """A loaded program, the names of its outputs in order, and its metadata."""

    program: torch.export.ExportedProgram
    output_names: tuple[str, ...]
    facts: ModelMetadata
    sha256: str
    path: Path


def load_program(path: Path, facts_path: Path | None) -> TrainedProgram:
    """The program at `path` with its metadata, from the program or else from the YAML at facts_path.

    Raises ModelError if it cannot be loaded, if its tensors differ from the contract's, or if there is no metadata.
    """
    program, text, sha256 = read_program(path)
    if facts_path is not None:
        facts = read_config(facts_path, ModelMetadata)
    elif text:
        facts = decode_metadata(text, str(path))
    else:
        raise ModelError(
            f"program {str(path)!r}: it has no {METADATA_FILE}, so the size of its crop cube is unknown; give its metadata with --model-facts F.yaml"
        )
    names = _output_names(program, len(facts.joint_names), path)
    return TrainedProgram(program, names, facts, sha256, path)


def read_program(path: Path) -> tuple[torch.export.ExportedProgram, str, str]:
    """The program in a file, the text of its metadata (empty if it has none), and the file's sha256.

    Raises ModelError if it cannot be loaded.
    """
    try:
        content = read_bytes(path, MAX_MODEL_BYTES)
    except OSError as error:
        raise ModelError(f"program {str(path)!r} cannot be read ({error.strerror}); name a .pt2 file") from error
    if (other := name_other_form(content, path)) is not None:
        raise ModelError(f"program {str(path)!r}: {other}")
    if not zipfile.is_zipfile(io.BytesIO(content)):  # otherwise torch logs its own traceback
        raise ModelError(
            f"program {str(path)!r} is not a torch.export program, or is truncated; write it with torch.export.save"
        )
    extra = {METADATA_FILE: ""}
    try:
        refuse_bomb(content, MAX_MODEL_BYTES)
        program = torch.export.load(io.BytesIO(content), extra_files=extra)
    except Exception as error:
        raise ModelError(
            f"program {str(path)!r} is not a torch.export program: {error}; write it with torch.export.save"
        ) from error
    _refuse_other_weights(program, path)
    return program, extra[METADATA_FILE], hashlib.sha256(content).hexdigest()


def _refuse_other_weights(program: torch.export.ExportedProgram, path: Path) -> None:
    for name, value in {**program.state_dict, **program.constants}.items():
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.dtype != torch.float32:
            refuse_type(path, name, str(value.dtype).removeprefix("torch."))


def run_program(trained: TrainedProgram, depth: Float32) -> dict[str, Float32]:
    """The outputs by name for depth (N, 1, 128, 128), in float32 on the CPU."""
    with torch.inference_mode():
        outputs = flat(trained.program.module()(torch.from_numpy(depth)))
    return {name: value.numpy() for name, value in zip(trained.output_names, outputs.values(), strict=True)}


def to_onnx(trained: TrainedProgram) -> onnx.ModelProto:
    """The program as ONNX: input `depth`, outputs by name, and `batch` as the only symbolic axis, first in every tensor.

    Raises ModelError if the exporter produces another opset or a second symbolic axis.
    """
    return program_to_onnx(trained.program, "depth", trained.output_names, trained.path)


def program_to_onnx(
    program: torch.export.ExportedProgram, input_name: str, output_names: tuple[str, ...], path: Path
) -> onnx.ModelProto:
    """Like `to_onnx`, for any program with one input."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns about optional libraries
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        exported = torch.onnx.export(
            program, dynamo=True, opset_version=OPSET, input_names=[input_name],
            output_names=list(output_names), verbose=False, optimize=True,
        )  # fmt: skip
    if exported is None:
        raise ModelError(
            f"program {str(path)!r}: the ONNX exporter returned no model; try torch.onnx.export on it directly"
        )
    model: onnx.ModelProto = exported.model_proto
    name_batch(model, path, OF_PROGRAM)
    _assert_opset(model, path)
    return model


def flat(outputs: Any) -> dict[str, torch.Tensor]:
    """The outputs of a program by key, or by position if they have no keys."""
    if isinstance(outputs, Mapping):
        return dict(outputs)
    if isinstance(outputs, torch.Tensor):
        return {"0": outputs}
    return {str(index): value for index, value in enumerate(outputs)}


def _output_names(program: torch.export.ExportedProgram, joints: int, path: Path) -> tuple[str, ...]:
    """The names of the hand outputs in the program's order, identified by key if there are keys, else by shape."""
    wanted = hand_output_shapes(2, joints)
    depth = torch.ones(2, 1, CROP_PX, CROP_PX)
    try:
        with torch.inference_mode():
            outputs = flat(program.module()(depth))
    except Exception as error:
        raise ModelError(
            f"program {str(path)!r}: it fails on a batch of 2, float32 (2, 1, {CROP_PX}, {CROP_PX}): {error}; "
            "export it with one input of that shape and a dynamic first axis"
        ) from error
    by_shape = {shape: name for name, shape in reversed(wanted.items())}  # joints before a spread of the same shape
    names = tuple(key if key in wanted else by_shape.get(tuple(value.shape), key) for key, value in outputs.items())
    found = {name: (tuple(value.shape), str(value.dtype)) for name, value in zip(names, outputs.values(), strict=True)}
    fits = all(
        name in wanted and shape == wanted[name] and dtype == "torch.float32" for name, (shape, dtype) in found.items()
    )
    if not fits or "joints" not in names or len(set(names)) != len(outputs):
        raise ModelError(
            f"program {str(path)!r}: for a batch of 2 its outputs are {found}, wanted float32 joints {wanted['joints']} "
            f"and optionally {', '.join(f'{name} {wanted[name]}' for name in HAND_OUTPUTS[1:])}; change the network's outputs"
        )
    return names


def _assert_opset(model: onnx.ModelProto, path: Path) -> None:
    found = {entry.domain: entry.version for entry in model.opset_import}
    if found.get("") != OPSET or any(domain not in ("", "pkg.onnxscript.torch_lib.common") for domain in found):
        raise ModelError(
            f"program {str(path)!r}: exported with opsets {found}, wanted only opset {OPSET} of the standard domain"
        )


def tool_versions() -> dict[str, str]:
    """Versions of the tools that made the graph."""
    return {"torch": str(torch.__version__), "onnx": onnx.__version__, "numpy": np.__version__}
