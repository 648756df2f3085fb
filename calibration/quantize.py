"""Adds INT8 graphs to a bundle: ranges from a calibration set, Q/DQ nodes, and a record of the process."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from onnx import ModelProto

from handmap.bundle.graph_lint import refuse
from handmap.bundle.graph_view import read_model
from handmap.bundle.manifest import Bundle, read_bundle
from handmap.bundle.writer import (
    describe_file,
    read_files,
    refuse_foreign_bundle,
    with_precisions,
    with_records,
    write_bundle,
)
from handmap.tracking.palm_detector import MAX_SPAN
from handmap.types.arrays import Float32
from handmap.types.errors import ConfigError

from .calibration_set import CalibrationSet, read_set
from .fit import fit_layers
from .layers import int8_share, list_layers
from .qdq import quantizable_tensors, quantize_graph
from .ranges import Histogram, Method, choose_thresholds, collect_histograms
from .record import RECORD, CalibrationRecord, PalmRecord, Sensitivity, encode_record, read_sensitivity, work_key

LARGEST_INPUT: Final = {"hand": 1.0, "palm": MAX_SPAN}  # per graph, fixed by its contract
REPORTS: Final = ("report.html", "report.json")  # stale once there is a new INT8 graph
FloatPrecision: TypeAlias = Literal["fp32", "fp16"]


@dataclass(frozen=True)
class Recipe:
    """How to quantize: the range method, the float precision, and the layers of each graph that stay in float."""

    method: Method
    body: FloatPrecision
    float_layers: frozenset[str]
    palm_float_layers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class QuantizedGraph:
    """An INT8 graph, its activation ranges, the fraction of multiply-adds in INT8, and the number of layers with fitted weights."""

    content: bytes
    thresholds: dict[str, float]
    float_layers: tuple[str, ...]
    int8_share: float
    fitted_layers: int


@dataclass(frozen=True)
class QuantizeReport:
    """The INT8 graphs by name, and whether the palm graph was skipped because the set has no detector inputs."""

    made: dict[str, QuantizedGraph]
    is_palm_left: bool
    forced: tuple[str, ...]


def quantize_bundle(bundle_path: Path, set_path: Path, recipe: Recipe, mixed: Path | None, out: Path) -> QuantizeReport:
    """Writes the bundle `out`: that at bundle_path with INT8 graphs; `mixed` names a sensitivity file to follow for the hand graph.

    Raises ConfigError if the sensitivity file is unfinished or does not match, or if a requested INT8 palm graph cannot be made.
    """
    refuse_foreign_bundle(out)
    bundle, chosen = read_bundle(bundle_path), read_set(set_path)
    refuse_other_cube(bundle, chosen)
    sensitivity = _finished(mixed, work_key(bundle, chosen, recipe.method, recipe.body)) if mixed is not None else None
    float_layers = recipe.float_layers | frozenset((sensitivity and sensitivity.float_layers) or ())
    left = {"hand": float_layers}
    if _has_palm_work(bundle, chosen, recipe):
        left["palm"] = recipe.palm_float_layers
    made = {
        graph: _quantize(load_float_graph(bundle, recipe.body, graph), graph, chosen, recipe.method, left[graph])
        for graph in left
    }
    record = encode_record(_record(chosen, recipe, made, sensitivity))
    manifest = with_records(bundle.manifest, {RECORD: record})
    files = {**read_files(bundle), RECORD: record}
    for graph, one in made.items():
        file = f"{graph}.int8.onnx"
        manifest = with_precisions(manifest, {"int8": describe_file(file, one.content)}, graph)
        files[file] = one.content
    for name in REPORTS:
        manifest.records.pop(name, None)
        files.pop(name, None)
    write_bundle(out, manifest, files)
    return QuantizeReport(made, bundle.palm is not None and "palm" not in made, chosen.manifest.forced)


def load_float_graph(bundle: Bundle, body: FloatPrecision, graph: str = "hand") -> ModelProto:
    """The graph in the precision of everything except the INT8 layers.

    Raises ModelError if it is not fit for a bundle, such as with weights that are not finite.
    """
    path = bundle.graph_path(graph, body)
    model = read_model(path)
    refuse(model, str(path))
    return model


def find_thresholds(model: ModelProto, chosen: CalibrationSet, method: Method, graph: str = "hand") -> dict[str, float]:
    """Ranges of every activation that any assignment could quantize; the contract fixes the input's range."""
    histograms = collect_histograms(model, quantizable_tensors(model), samples_of(chosen, graph))
    inputs = {value.name for value in model.graph.input}
    fixed = {name: LARGEST_INPUT[graph] for name in histograms if _is_input(model, name, inputs)}
    others: dict[str, Histogram] = {name: found for name, found in histograms.items() if name not in fixed}
    return {**choose_thresholds(others, method), **fixed}


def samples_of(chosen: CalibrationSet, graph: str) -> Float32:
    """The set's inputs (N, 1, H, W) of a graph."""
    return {"hand": chosen.crops.depth, "palm": chosen.pictures.depth_small}[graph]


def refuse_other_cube(bundle: Bundle, chosen: CalibrationSet) -> None:
    """Raises ConfigError if the set was cropped with a cube size other than the bundle's."""
    if chosen.manifest.cube_mm != bundle.hand.cube_mm:
        raise ConfigError(
            f"calibration set {str(chosen.path)!r}: its cube is {chosen.manifest.cube_mm} mm, the bundle's {bundle.hand.cube_mm} mm; "
            "select it again with this bundle"
        )


def _has_palm_work(bundle: Bundle, chosen: CalibrationSet, recipe: Recipe) -> bool:
    """Whether there is a palm graph and inputs for it; raises ConfigError if an INT8 graph would be missing from the record."""
    if bundle.palm is None:
        if recipe.palm_float_layers:
            raise ConfigError(
                f"bundle {str(bundle.path)!r}: it has no palm graph, so {', '.join(sorted(recipe.palm_float_layers))} cannot be kept in float; "
                "leave out --palm-float-layer, or export the bundle with --palm"
            )
        return False
    if not len(chosen.pictures) and (recipe.palm_float_layers or "int8" in bundle.palm.precisions):
        raise ConfigError(
            f"calibration set {str(chosen.path)!r}: it has no detector inputs, which the INT8 palm graph needs; "
            "select it again"
        )
    return len(chosen.pictures) > 0


def _quantize(
    model: ModelProto, graph: str, chosen: CalibrationSet, method: Method, float_layers: frozenset[str]
) -> QuantizedGraph:
    thresholds = find_thresholds(model, chosen, method, graph)
    fitted = fit_layers(model, thresholds, samples_of(chosen, graph))
    content = quantize_graph(model, thresholds, float_layers, fitted).SerializeToString(deterministic=True)
    share = int8_share(list_layers(model), float_layers)
    return QuantizedGraph(content, thresholds, tuple(sorted(float_layers)), share, len(fitted.keys() - float_layers))


def _is_input(model: ModelProto, name: str, inputs: set[str]) -> bool:
    """Whether a tensor is a graph input or the cast of one."""
    casts = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Cast"}
    return name in inputs or casts.get(name) in inputs


def _finished(path: Path, key: str) -> Sensitivity:
    sensitivity = read_sensitivity(path)
    if sensitivity.key != key:
        raise ConfigError(
            f"sensitivity {str(path)!r}: it belongs to another bundle, set, method or body; run `handmap calibrate sensitivity` with these"
        )
    if sensitivity.float_layers is None:
        raise ConfigError(
            f"sensitivity {str(path)!r}: it is unfinished; run the same `handmap calibrate sensitivity` again"
        )
    return sensitivity


def _record(
    chosen: CalibrationSet, recipe: Recipe, made: Mapping[str, QuantizedGraph], sensitivity: Sensitivity | None
) -> CalibrationRecord:
    manifest, hand, palm = chosen.manifest, made["hand"], made.get("palm")
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
        thresholds=hand.thresholds,
        float_layers=hand.float_layers,
        int8_share=hand.int8_share,
        fitted_layers=hand.fitted_layers,
        sensitivity=sensitivity,
        palm=PalmRecord(len(chosen.pictures), palm.thresholds, palm.float_layers, palm.int8_share) if palm else None,
    )
