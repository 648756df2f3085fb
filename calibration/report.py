"""The accuracy report: compares the precisions of a bundle, applies the gates, and writes the results into a bundle."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from onnx import numpy_helper

from handmap.bundle.gate import Accuracy, Gate
from handmap.bundle.golden import read_golden
from handmap.bundle.graph_steps import has_float_steps
from handmap.bundle.graph_view import read_model
from handmap.bundle.manifest import Bundle, read_bundle
from handmap.bundle.writer import read_files, refuse_foreign_bundle, with_precisions, with_records, write_bundle
from handmap.engines.factory import check_golden
from handmap.engines.onnx_engine import onnxruntime_version, run_graph
from handmap.files.reading import MAX_MODEL_BYTES, encode_json, read_bytes
from handmap.recording.stated import NOTHING_STATED, Stated
from handmap.tracking.fitted_hands import UNFITTED
from handmap.tracking.smooth import UNSMOOTHED
from handmap.tracking.tracker_settings import TrackingConfig, tracker_settings

from .calibration_set import is_set, read_set
from .compare import PLAIN, Comparison, EngineSet, compare_held_out, compare_source, open_precisions
from .frame_source import FirstSamples, open_source, refuse_other_hand
from .idle_options import refuse_idle_options
from .palm_detector import PalmComparison, compare_palms, judge_palms, palm_figures
from .record import RECORD, CalibrationRecord, read_record
from .report_metrics import away_mm, fp32_worth, judge_gate, labeled, precision_figures, statistics, worst_frames
from .report_page import render

HTML: Final = "report.html"
JSON: Final = "report.json"
ORACLE_CROPS: Final = 128
AS_WRITTEN: Final = "the graph as written (graph optimization off), node by node as the ONNX standard defines it"
OPTIMISED: Final = "the graph with graph optimization on, which is accurate for its FP32 scales"


@dataclass(frozen=True)
class ReportOutcome:
    """The results; a gate is None if the bundle has no such INT8 graph, palm_gate also if FP32 detects no palm."""

    gate: Gate | None
    palm_gate: Gate | None
    figures: Mapping[str, Any]


def report_bundle(
    bundle_path: Path, data: str, max_frames: int, handedness: str, out: Path, stated: Stated = NOTHING_STATED
) -> ReportOutcome:
    """Writes the bundle `out`: that at bundle_path with accuracies, the gate's verdict, report.html and report.json.

    `data` is a data set's name, a recording, or a calibration set whose held-out crops are meant.
    Raises DatasetError if the data was used for calibration or shows no hand.
    """
    refuse_foreign_bundle(out)
    refuse_idle_options((data,), stated)
    bundle = read_bundle(bundle_path)
    record = read_record(bundle) if RECORD in bundle.manifest.records else None
    comparison = _compare(bundle, record, data, max_frames, handedness, stated)
    palms = compare_palms(bundle, comparison.dataset, comparison.pictures)
    figures = make_figures(bundle, record, comparison, palms)
    gate = judge_gate(comparison, "int8") if "int8" in comparison.xyz_mm else None
    contents = {
        JSON: encode_json(figures),
        HTML: render(bundle, record, comparison, figures),
    }
    precisions = {}
    for name, precision in bundle.hand.precisions.items():
        error_mm = comparison.found_error_mm.get(name)
        accuracy = (
            Accuracy(comparison.dataset, round(float(labeled(error_mm).mean()), 4), len(error_mm))
            if error_mm is not None
            else None
        )
        precisions[name] = msgspec.structs.replace(precision, accuracy=accuracy, gate=gate if name == "int8" else None)
    manifest = with_records(with_precisions(bundle.manifest, precisions), contents)
    palm_gate = None
    if bundle.palm is not None and palms is not None and "int8" in palms.reports:
        palm_gate = judge_palms(palms, "int8")
        judged = msgspec.structs.replace(bundle.palm.precisions["int8"], gate=palm_gate)
        manifest = with_precisions(manifest, {"int8": judged}, "palm")
    write_bundle(out, manifest, {**read_files(bundle), **contents})
    return ReportOutcome(gate, palm_gate, figures)


def make_figures(
    bundle: Bundle, record: CalibrationRecord | None, comparison: Comparison, palms: PalmComparison | None
) -> dict[str, Any]:
    """The content of report.json."""
    precisions = [name for name in comparison.xyz_mm]
    figures: dict[str, Any] = {
        "dataset": comparison.dataset,
        "crops": len(comparison.crops),
        **fp32_worth(comparison),
        "precisions": {name: precision_figures(comparison, name, bundle) for name in precisions},
        "gates": {name: msgspec.to_builtins(judge_gate(comparison, name)) for name in precisions if name != "fp32"},
        "provenance": _provenance(bundle, record),
    }
    if palms is not None:
        figures["palm"] = palm_figures(palms)
    if "int8" in precisions:
        figures["oracle"] = _check_oracle(bundle, comparison)
        figures["steps"] = _steps(bundle)
        figures["worst_frames"] = [
            {"frame": comparison.frames[index], "away_mm": float(away_mm(comparison, "int8")[index].mean())}
            for index in worst_frames(comparison, "int8")
        ]
    if record is not None:
        figures["calibration"] = msgspec.to_builtins(msgspec.structs.replace(record, frame_sha256=()))
    return figures


def _compare(
    bundle: Bundle, record: CalibrationRecord | None, data: str, max_frames: int, handedness: str, stated: Stated
) -> Comparison:
    settings = tracker_settings(
        bundle,
        msgspec.convert({"handedness": handedness, "assume_hand_present": True}, TrackingConfig),
        UNSMOOTHED,
        UNFITTED,
    )
    with open_precisions(bundle, record) as opened:
        for name, engines in opened.items():
            if name != PLAIN:
                check_golden(engines.hand, read_golden(bundle), bundle)
        engine_set = EngineSet(opened, settings)
        if is_set(Path(data)):
            return compare_held_out(read_set(Path(data)), engine_set)
        seen = frozenset(record.frame_sha256) if record is not None else frozenset()
        frame_source = open_source(data, stated)
        refuse_other_hand(frame_source, handedness)
        return compare_source(FirstSamples(frame_source, max_frames), engine_set, seen)


def _check_oracle(bundle: Bundle, comparison: Comparison) -> dict[str, Any]:
    """How the daemon would run the INT8 graph, and how far ONNX Runtime's optimized graph is from the graph as written."""
    content = read_bytes(bundle.graph_path("hand", "int8"), MAX_MODEL_BYTES)
    depth = comparison.crops[:ORACLE_CROPS]
    half_mm = bundle.hand.cube_mm / 2
    written, optimized = (
        run_graph(content, depth, ("joints",), choice)["joints"] * half_mm for choice in (False, True)
    )
    fp32 = comparison.xyz_mm["fp32"][:ORACLE_CROPS]
    return {
        "is": OPTIMISED if has_float_steps(content) else AS_WRITTEN,
        "written_away_from_fp32_mm": statistics(np.linalg.norm(written - fp32, axis=-1)),
        "optimized_away_from_written_mm": statistics(np.linalg.norm(optimized - written, axis=-1)),
        "optimized_away_from_fp32_mm": statistics(np.linalg.norm(optimized - fp32, axis=-1)),
        "onnxruntime": onnxruntime_version(),
    }


def _steps(bundle: Bundle) -> dict[str, list[float]]:
    """The step sizes in the INT8 graph: one for each activation, one for each channel of each weight."""
    model = read_model(bundle.graph_path("hand", "int8"))
    scales = {tensor.name: numpy_helper.to_array(tensor).astype(np.float64) for tensor in model.graph.initializer}
    found = [scales[node.input[1]] for node in model.graph.node if node.op_type == "DequantizeLinear"]
    return {
        "activations": [float(scale) for scale in found if scale.ndim == 0],
        "weights": [float(value) for scale in found if scale.ndim for value in scale],
    }


def _provenance(bundle: Bundle, record: CalibrationRecord | None) -> dict[str, str]:
    made = bundle.manifest.provenance
    hashes = {
        f"{name} {graph} graph sha256": found.sha256
        for graph, one in bundle.manifest.graphs.named().items()
        for name, found in one.precisions.items()
    }
    facts = {"checkpoint sha256": made.checkpoint_sha256, "commit": made.commit, **hashes}
    if record is not None:
        facts |= {"calibration set sha256": record.set_sha256}
        facts |= {f"source {source.name}": source.sha256 for source in record.sources}
    return facts | {f"{name} version": version for name, version in made.tools.items()}
