"""A bundle with an INT8 graph, out of a bundle without: ranges from a calibration set, Q/DQ, and a record of how."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import onnx
from onnx import ModelProto

from handmap.bundle import Bundle, read_bundle
from handmap.bundle_writer import describe_file, read_files, with_precisions, with_records, write_bundle
from handmap.errors import ConfigError

from .calibration_set import CalibrationSet, read_set
from .layers import int8_share, list_layers
from .qdq import quantisable_tensors, quantise_graph
from .ranges import Histogram, Method, choose_thresholds, collect_histograms
from .record import RECORD, CalibrationRecord, Sensitivity, encode_record, read_sensitivity, work_key

FILE: Final = "hand.int8.onnx"
REPORTS: Final = ("report.html", "report.json")  # of another INT8 graph; a new one needs new ones
Body: TypeAlias = Literal["fp32", "fp16"]


@dataclass(frozen=True)
class Recipe:
    """How to quantise: the method for ranges, the precision of what stays in float, and which layers do."""

    method: Method
    body: Body
    float_layers: frozenset[str]


@dataclass(frozen=True)
class QuantiseReport:
    """What was made."""

    bytes: int
    int8_share: float
    float_layers: tuple[str, ...]
    forced: tuple[str, ...]


def quantise_bundle(bundle_path: Path, set_path: Path, recipe: Recipe, mixed: Path | None, out: Path) -> QuantiseReport:
    """Writes the bundle `out`: that at bundle_path with an INT8 graph; `mixed` names a sensitivity file to follow.

    Raises ConfigError if the sensitivity file is unfinished or of other work.
    """
    bundle, chosen = read_bundle(bundle_path), read_set(set_path)
    refuse_other_cube(bundle, chosen)
    sensitivity = _finished(mixed, work_key(bundle, chosen, recipe.method, recipe.body)) if mixed is not None else None
    float_layers = recipe.float_layers | frozenset((sensitivity and sensitivity.float_layers) or ())
    model = load_body(bundle, recipe.body)
    thresholds = find_thresholds(model, chosen, recipe.method)
    content = quantise_graph(model, thresholds, float_layers).SerializeToString(deterministic=True)
    share = int8_share(list_layers(model), float_layers)
    record = encode_record(_record(chosen, recipe, thresholds, float_layers, share, sensitivity))
    manifest = with_records(bundle.manifest, {RECORD: record})
    manifest = with_precisions(manifest, {"int8": describe_file(FILE, content)})
    files = {**read_files(bundle), FILE: content, RECORD: record}
    for name in REPORTS:
        manifest.records.pop(name, None)
        files.pop(name, None)
    write_bundle(out, manifest, files)
    return QuantiseReport(len(content), share, tuple(sorted(float_layers)), chosen.manifest.forced)


def load_body(bundle: Bundle, body: Body) -> ModelProto:
    """The graph of the precision in which everything but the INT8 layers computes."""
    return onnx.load(bundle.graph_path("hand", body))


def find_thresholds(model: ModelProto, chosen: CalibrationSet, method: Method) -> dict[str, float]:
    """Ranges of every activation that any assignment could quantise; that of the input is what it is by contract."""
    histograms = collect_histograms(model, quantisable_tensors(model), chosen.crops.depth)
    inputs = {value.name for value in model.graph.input}
    fixed = {name: found.largest for name, found in histograms.items() if _is_input(model, name, inputs)}
    others: dict[str, Histogram] = {name: found for name, found in histograms.items() if name not in fixed}
    return {**choose_thresholds(others, method), **fixed}


def refuse_other_cube(bundle: Bundle, chosen: CalibrationSet) -> None:
    """Raises ConfigError if the set was cropped with another cube than the bundle's."""
    if chosen.manifest.cube_mm != bundle.hand.cube_mm:
        raise ConfigError(
            f"calibration set {str(chosen.path)!r}: its cube is {chosen.manifest.cube_mm} mm, the bundle's {bundle.hand.cube_mm} mm; "
            "select it again with this bundle"
        )


def _is_input(model: ModelProto, name: str, inputs: set[str]) -> bool:
    """Whether a tensor is a graph's input or its cast."""
    casts = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Cast"}
    return name in inputs or casts.get(name) in inputs


def _finished(path: Path, key: str) -> Sensitivity:
    sensitivity = read_sensitivity(path)
    if sensitivity.key != key:
        raise ConfigError(
            f"sensitivity {str(path)!r}: it was found for another bundle, set, method or body; run `handmap calibrate sensitivity` with these"
        )
    if sensitivity.float_layers is None:
        raise ConfigError(
            f"sensitivity {str(path)!r}: it is unfinished; run the same `handmap calibrate sensitivity` again"
        )
    return sensitivity


def _record(
    chosen: CalibrationSet, recipe: Recipe, thresholds: dict[str, float], float_layers: frozenset[str], share: float,
    sensitivity: Sensitivity | None,
) -> CalibrationRecord:  # fmt: skip
    manifest = chosen.manifest
    return CalibrationRecord(
        set_sha256=chosen.sha256,
        sources=manifest.sources,
        coverage=manifest.coverage,
        dropped=manifest.dropped,
        forced=manifest.forced,
        frame_sha256=tuple(item.frame_sha256 for item in manifest.items),
        frames=len(manifest.items),
        method=recipe.method,
        body=recipe.body,
        thresholds=thresholds,
        float_layers=tuple(sorted(float_layers)),
        int8_share=share,
        sensitivity=sensitivity,
    )
