"""From a trained program to a bundle on disk: it is written only when every step has been verified."""

import hashlib
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx

from handmap import __version__
from handmap.bundle.graph_contents import refuse_odd_graph
from handmap.bundle.graph_lint import refuse
from handmap.bundle.manifest import FORMAT, GOLDEN, Graph, Graphs, Manifest, Provenance
from handmap.bundle.tensors import Tensor, Tensors
from handmap.bundle.writer import describe_file, refuse_foreign_bundle, write_bundle
from handmap.engines.onnx_engine import onnxruntime_version, run_graph
from handmap.recording.stated import RecordingName
from handmap.types.arrays import Float32
from handmap.types.errors import ModelError

from .conduct import refuse_misbehavior
from .conventions import joint_order, normalized_as, standard_facts, to_standard
from .float_types import refuse_other_floats
from .fp16 import ExportSource, HalfGraph, to_half
from .from_onnx import GivenGraph, load_graph, run_as_written
from .hands_seen import refuse_unseen_hands
from .labels import LabelScore, RunJoints, read_labeled, score_labels
from .palm import PalmExport, export_palm
from .samples import crops_of_recording
from .simplify import check_same_outputs, simplify
from .to_onnx import load_program, run_program, to_onnx, tool_versions

PARITY_MM = 0.01
MIN_CROPS, MAX_CROPS = 200, 400
GOLDEN_SAMPLES = 8
BATCH = 8


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how far the graphs differ on the samples."""

    opset: int
    nodes: int
    bytes: int
    crops: int
    torch_to_onnx_mm: float
    torch_to_simplified_mm: float
    half: HalfGraph | None
    palm: PalmExport | None
    labels: LabelScore | None  # None if the samples have no labels


def export_bundle(
    checkpoint: Path,
    out: Path,
    samples: RecordingName,
    facts_path: Path | None,
    has_half: bool = True,
    palm_checkpoint: Path | None = None,
) -> ExportReport:
    """Writes the bundle at `out`, with FP16 graphs if asked for, and returns the results of the checks.

    `checkpoint` is a trained program or, with the suffix .onnx, a graph exported elsewhere.
    Raises ModelError if the program violates the contract or the graphs disagree by more than PARITY_MM.
    """
    refuse_foreign_bundle(out)
    trained: ExportSource = (
        load_graph(checkpoint, facts_path)
        if checkpoint.suffix.lower() == ".onnx"
        else load_program(checkpoint, facts_path)
    )
    crops = crops_of_recording(samples, trained.facts.cube_mm, MIN_CROPS, MAX_CROPS)
    half_cube_mm = trained.facts.cube_mm / 2
    run = _runner(trained)
    raw = trained.model if isinstance(trained, GivenGraph) else to_onnx(trained)
    refuse_odd_graph(raw.SerializeToString(), str(checkpoint))
    refuse_other_floats(raw, checkpoint)
    check_same_outputs(raw, checkpoint)
    refuse_misbehavior(run, normalized_as(crops[:BATCH], trained.facts.normalization), half_cube_mm, str(checkpoint))
    raw = to_standard(raw, trained.facts)
    _refuse_unread(trained, raw)
    simplified = simplify(raw, checkpoint)
    refuse(simplified, str(checkpoint))
    reference = run(normalized_as(crops, trained.facts.normalization))[:, joint_order(trained.facts.joint_names)]
    raw_mm = _worst_mm(reference, _joints(raw, crops), half_cube_mm)
    joints = _joints(simplified, crops)
    simplified_mm = _worst_mm(reference, joints, half_cube_mm)
    if not (raw_mm <= PARITY_MM and simplified_mm <= PARITY_MM):  # NaN is refused, whichever it is
        raise ModelError(
            f"program {str(checkpoint)!r}: on {len(crops)} crops its ONNX graph is {raw_mm:.4f} mm off and the simplified one "
            f"{simplified_mm:.4f} mm, wanted at most {PARITY_MM} mm; compare the graphs layer by layer"
        )
    labeled = read_labeled(samples, trained.facts.cube_mm)
    labels = None if labeled is None else score_labels(run, trained.facts, labeled, str(checkpoint))
    if labeled is not None:
        refuse_unseen_hands(simplified, trained.facts, labeled, str(checkpoint))
    half = to_half(trained, simplified, crops, half_cube_mm) if has_half else None
    graphs = {"fp32": simplified, **({"fp16": half.model} if half else {})}
    contents = {name: model.SerializeToString(deterministic=True) for name, model in graphs.items()}
    golden = _golden_bytes(crops, joints)
    palm = export_palm(palm_checkpoint, samples, has_half) if palm_checkpoint is not None else None
    manifest = _manifest(trained, simplified, contents, golden, palm)
    files = {_file(name): content for name, content in contents.items()} | (palm.files if palm else {})
    write_bundle(out, manifest, {GOLDEN: golden, **files})
    nodes, size = len(simplified.graph.node), len(contents["fp32"])
    return ExportReport(_opset(simplified), nodes, size, len(crops), raw_mm, simplified_mm, half, palm, labels)


def _refuse_unread(trained: ExportSource, model: onnx.ModelProto) -> None:
    """Raises ModelError if the metadata refers to outputs that the network lacks, or ignores one that it has."""
    try:
        trained.facts.confidence.refuse_missing({value.name for value in model.graph.output})
    except ValueError as error:
        raise ModelError(f"program {str(trained.path)!r}: its metadata does not match its outputs: {error}") from error


def _runner(trained: ExportSource) -> RunJoints:
    """Runs the network as it was given, in conventions of its own."""
    if isinstance(trained, GivenGraph):
        return lambda depth: run_as_written(trained, depth)
    return lambda depth: np.concatenate([run_program(trained, batch)["joints"] for batch in _batches(depth)])


def _manifest(
    trained: ExportSource, model: onnx.ModelProto, contents: Mapping[str, bytes], golden: bytes, palm: PalmExport | None
) -> Manifest:
    facts = standard_facts(trained.facts)
    hand = Graph(
        tensors=Tensors(_tensors(model.graph.input), _tensors(model.graph.output)),
        joint_names=facts.joint_names,
        cube_mm=facts.cube_mm,
        cube_mm_range=facts.cube_mm_range,
        normalization=facts.normalization,
        precisions={name: describe_file(_file(name), content) for name, content in contents.items()},
        confidence=facts.confidence,
    )
    tools = {"handmap": __version__, "onnxruntime": onnxruntime_version(), **tool_versions()}
    provenance = Provenance(trained.sha256, _commit(trained), tools, _opset(model))
    return Manifest(FORMAT, Graphs(hand, palm.graph if palm else None), hashlib.sha256(golden).hexdigest(), provenance)


def _opset(model: onnx.ModelProto) -> int:
    return next(int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def _file(precision: str) -> str:
    return f"hand.{precision}.onnx"


def _commit(trained: ExportSource) -> str:
    """The commit that the program was trained at, from its metadata, else the commit of this export."""
    stated = trained.facts.provenance.get("commit")
    if isinstance(stated, str) and stated:
        return stated
    found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def _tensors(values: Iterable[onnx.ValueInfoProto]) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(
            value.name,
            onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
            tuple(size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim),
        )
        for value in values
    )


def _golden_bytes(crops: Float32, joints: Float32) -> bytes:
    """Samples spread over the recording; each frame's first proposal comes first, so most of them show hands."""
    chosen = np.linspace(0, len(crops) // 2, GOLDEN_SAMPLES, dtype=int)
    buffer = BytesIO()
    np.savez_compressed(buffer, depth=crops[chosen], joints=joints[chosen])
    return buffer.getvalue()


def _joints(model: onnx.ModelProto, crops: Float32) -> Float32:
    joints: Float32 = run_graph(model.SerializeToString(), crops, ("joints",))["joints"]
    return joints


def _batches(crops: Float32) -> list[Float32]:
    return [crops[first : first + BATCH] for first in range(0, len(crops), BATCH)]


def _worst_mm(first: Float32, second: Float32, half_cube_mm: float) -> float:
    return float(np.linalg.norm(first - second, axis=-1).max()) * half_cube_mm
