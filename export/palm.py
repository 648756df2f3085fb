"""The palm graph of a bundle: a trained palm detector as ONNX in FP32 and FP16, verified on frames of a recording."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch

from handmap.bundle.graph_lint import refuse
from handmap.bundle.manifest import PalmGraph
from handmap.bundle.model_metadata import PalmMetadata
from handmap.bundle.tensors import PALM_TENSORS
from handmap.bundle.writer import describe_file
from handmap.engines.onnx_engine import PALM_INPUT, PALM_OUTPUT, run_batches
from handmap.files.reading import NotJson, decode_json
from handmap.recording.reader import open_recording
from handmap.recording.stated import RecordingName
from handmap.tracking.palm_detector import INPUT_COLUMNS, INPUT_ROWS, MAP_COLUMNS, MAP_ROWS, encode_depth
from handmap.types.arrays import Float32
from handmap.types.errors import ModelError, RecordingError

from .fp16 import half_of_graph, refuse_stray_casts
from .fp16_weights import share_weights
from .simplify import simplify
from .to_onnx import flat, program_to_onnx, read_program

MAX_PICTURES = 64
PARITY = 1e-3  # of any output value, between torch and ONNX
HALF_PARITY = 0.1  # likewise between FP32 and FP16: 0.1 in a logit changes a score by at most 0.025


@dataclass(frozen=True)
class PalmExport:
    """The manifest entry, and the files that it names."""

    graph: PalmGraph
    files: dict[str, bytes]
    torch_to_onnx: float  # largest difference of any output value
    fp32_to_fp16: float | None


def export_palm(checkpoint: Path, samples: RecordingName, has_half: bool) -> PalmExport:
    """The palm graph of a trained program.

    Raises ModelError if the program violates the contract or the graphs disagree.
    """
    program, text, _ = read_program(checkpoint)
    try:
        facts = decode_json(text, PalmMetadata)
    except NotJson as error:
        raise ModelError(
            f"program {str(checkpoint)!r}: it has no metadata of a palm network ({error}); train it with: handmap train-palm"
        ) from error
    pictures = pictures_of_recording(samples)
    wanted = _answers_of_program(program, pictures, checkpoint)
    model = simplify(program_to_onnx(program, PALM_INPUT, (PALM_OUTPUT,), checkpoint), checkpoint)
    refuse(model, str(checkpoint))
    found = _answers(model, pictures)
    apart = float(np.abs(found - wanted).max())
    if not apart <= PARITY:
        raise ModelError(
            f"program {str(checkpoint)!r}: on {len(pictures)} frames the outputs of its ONNX graph are up to {apart:.4f} off, wanted at most "
            f"{PARITY}; compare the graphs layer by layer"
        )
    models, half_apart = {"fp32": model}, None
    if has_half:
        half = simplify(half_of_graph(model, checkpoint), checkpoint)
        share_weights(half, model)
        refuse(half, f"{checkpoint} in FP16")
        refuse_stray_casts(half)
        half_apart = float(np.abs(_answers(half, pictures) - found).max())
        if not half_apart <= HALF_PARITY:
            raise ModelError(
                f"program {str(checkpoint)!r}: FP16 is not accurate enough, its outputs are up to {half_apart:.3f} off FP32's, wanted at most "
                f"{HALF_PARITY}; export with --precisions fp32"
            )
        models["fp16"] = half
    contents = {name: one.SerializeToString(deterministic=True) for name, one in models.items()}
    entries = {name: describe_file(_file(name), content) for name, content in contents.items()}
    graph = PalmGraph(PALM_TENSORS, entries, facts.min_score)
    return PalmExport(graph, {_file(name): content for name, content in contents.items()}, apart, half_apart)


def pictures_of_recording(samples: RecordingName) -> Float32:
    """Detector inputs (N, 1, 96, 128) from frames spread over a recording."""
    recording = open_recording(samples)
    stride = max(-(-len(recording) // MAX_PICTURES), 1)
    shown = [encode_depth(np, frame).depth_small for index, frame in enumerate(recording) if index % stride == 0]
    if not shown:
        raise RecordingError(f"recording {str(samples)!r}: it has no frames to compare the graphs on; name another")
    return np.stack(shown)[:, None].astype(np.float32)


def _answers_of_program(program: torch.export.ExportedProgram, pictures: Float32, path: Path) -> Float32:
    try:
        with torch.inference_mode():
            (answer,) = flat(program.module()(torch.from_numpy(pictures))).values()
    except Exception as error:
        raise ModelError(
            f"program {str(path)!r}: it fails on an input {pictures.shape}, or has several outputs: {error}; export it with one input "
            f"(N, 1, {INPUT_ROWS}, {INPUT_COLUMNS}) and one output"
        ) from error
    wanted = (len(pictures), 3, MAP_ROWS, MAP_COLUMNS)
    if tuple(answer.shape) != wanted or answer.dtype != torch.float32:
        raise ModelError(
            f"program {str(path)!r}: for {len(pictures)} inputs its output is {answer.dtype} of shape {tuple(answer.shape)}, "
            f"wanted float32 of {wanted}; change the network's output"
        )
    answers: Float32 = answer.numpy()
    return answers


def _answers(model: onnx.ModelProto, pictures: Float32) -> Float32:
    content = model.SerializeToString()
    parts = [part[PALM_OUTPUT] for part in run_batches(content, pictures, (PALM_OUTPUT,), input_name=PALM_INPUT)]
    return np.concatenate(parts)


def _file(precision: str) -> str:
    return f"palm.{precision}.onnx"
