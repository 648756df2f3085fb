"""Lays out the report page. The numbers come from the metrics and the calibration record."""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from handmap.bundle.gate import Gate
from handmap.bundle.manifest import Bundle
from handmap.files.html_page import heading, page, paragraph, picture, table
from handmap.metrics.reliability import BAD_JOINT_MM
from handmap.tracking.detector import MAX_DETECTIONS

from .compare import PLAIN, Comparison
from .gate import explain, explain_fp32, explain_palms
from .palm_detector import DETECTION_MATCH_MM, SAME_DEPTH, SAME_LATERAL_MM
from .plots import draw_by_joint, draw_coverage, draw_frames, draw_layers, draw_reliability, draw_scales
from .record import CalibrationRecord
from .report_metrics import worst_frames

STATISTICS = ("mean", "p50", "p95", "max")


def render(bundle: Bundle, record: CalibrationRecord | None, comparison: Comparison, figures: dict[str, Any]) -> bytes:
    """The bytes of report.html."""
    parts = [
        *_verdict(record, figures),
        *_precisions(figures),
        *_reliability(figures),
        *_joints(figures),
        *_distances(figures),
        *_worst(bundle, comparison),
        *_palms(bundle, record, figures),
        *_calibration(record, figures),
        heading("Provenance"),
        table(("what", "value"), {name: [value] for name, value in figures["provenance"].items()}),
    ]
    return page(f"INT8 accuracy of {bundle.path.name}", parts)


def banners(figures: dict[str, Any]) -> Iterator[str]:
    """The banners at the top: FP32's own accuracy, red if poor, and the gate results, green only if FP32 is accurate."""
    is_poor = figures["is_fp32_poor"]
    worth = explain_fp32(figures["fp32_mean_mm"], is_poor, figures["dataset"])
    yield paragraph(worth, "failed" if is_poor else "")
    for name in ("int8", PLAIN):
        if name in figures["gates"]:
            gate = msgspec.convert(figures["gates"][name], Gate)
            kind = "failed" if not gate.passed else "" if is_poor else "passed"
            yield paragraph(f"{name}: {explain(gate)}", kind)


def _verdict(record: CalibrationRecord | None, figures: dict[str, Any]) -> Iterator[str]:
    yield from banners(figures)
    if record is None:
        return
    yield paragraph(
        f"{record.int8_share:.1%} of the multiply-adds run in INT8, the rest in {record.body}. Ranges were chosen by {record.method} on "
        f"{record.frames} crops, and the weights of {record.fitted_layers} layers were fitted to them. Float layers: "
        f"{', '.join(record.float_layers) or 'none'}."
    )
    if not record.float_layers:
        yield paragraph("All layers are in INT8; none had to stay in float.")
    for reason in record.forced:
        yield paragraph(f"The calibration set was accepted only with --force: {reason}.", "failed")
    oracle = figures["oracle"]
    yield paragraph(
        f"All results were computed as in the daemon, with ONNX Runtime {oracle['onnxruntime']}; INT8 ran {oracle['is']}. The mean distance of the "
        f"INT8 joints from FP32 is {oracle['optimized_away_from_fp32_mm']['mean']:.3f} mm with graph optimization and "
        f"{oracle['written_away_from_fp32_mm']['mean']:.3f} mm without. The two differ by {oracle['optimized_away_from_written_mm']['mean']:.3f} mm "
        f"on average (maximum {oracle['optimized_away_from_written_mm']['max']:.3f} mm), due to the library and not the graph."
    )


def _precisions(figures: dict[str, Any]) -> Iterator[str]:
    found: dict[str, dict[str, Any]] = figures["precisions"]
    yield heading(f"Precisions on {figures['dataset']}, {figures['crops']} crops")
    yield paragraph("Distance of the joints from FP32 on the same crops, mm.")
    rows = {
        name: [
            *(one["away_from_fp32_mm"][which] for which in STATISTICS),
            (one.get("bone_drift_mm") or {}).get("mean"), (one.get("bone_drift_mm") or {}).get("mean_signed"), one["rest_jitter_mm"],
        ]
        for name, one in found.items()
    }  # fmt: skip
    yield table(("precision", *STATISTICS, "bone drift", "bone drift, signed", "rest jitter"), rows)
    if "error_mm" in found["fp32"]:
        yield paragraph("Error against ground truth, with each precision running its own detection, mm.")
        errors = {
            name: [*(one["error_mm"][which] for which in STATISTICS), one["found"]] for name, one in found.items()
        }
        yield table(("precision", *STATISTICS, "found"), errors)
        both = found.get("int8", {}).get("above_fp32_where_both_find_mm")
        if both is not None:
            yield paragraph(
                f"A missed hand counts as 125 mm. On the {both['frames']} frames in which both INT8 and FP32 find the hand, INT8's error "
                f"differs from FP32's by {both['mean']:+.3f} mm (mean) and {both['p95']:+.3f} mm (p95)."
            )


def _reliability(figures: dict[str, Any]) -> Iterator[str]:
    found = {name: one["reliability"] for name, one in figures["precisions"].items() if "reliability" in one}
    if not found:
        return
    yield heading("Reliability of the expected errors")
    yield paragraph(
        "Joints of the detected hands, in ten groups of equal size (deciles) by expected error. AUROC: how well the expected "
        f"error separates joints with an error above {BAD_JOINT_MM:.0f} mm from the others (0.5: not at all, 1: perfectly)."
    )
    deciles = {name: one["expected_error_deciles"] for name, one in found.items()}
    yield picture(draw_reliability(deciles), "actual against expected error by decile")
    yield table(("precision", "AUROC"), {name: [one["auroc_joint_20mm"]] for name, one in found.items()})
    columns = [f"{name} {which}" for name in found for which in ("expected, mm", "actual, mm")]
    groups = range(len(next(iter(deciles.values()))))
    rows = {
        str(group + 1): [one[group][key] for one in deciles.values() for key in ("expected_mm", "true_mm")]
        for group in groups
    }
    yield table(("decile", *columns), rows)


def _joints(figures: dict[str, Any]) -> Iterator[str]:
    found: dict[str, dict[str, Any]] = figures["precisions"]
    yield heading("By joint")
    for key, title in (("away_by_joint_mm", "from FP32"), ("error_by_joint_mm", "from ground truth")):
        shown = {name: one[key] for name, one in found.items() if key in one and not (name == "fp32" and "away" in key)}
        if not shown:
            continue
        means = {name: {joint: values["mean"] for joint, values in one.items()} for name, one in shown.items()}
        yield picture(draw_by_joint(means, f"mean distance {title}, mm"), f"mean distance {title} by joint")
        columns = [f"{name} {which}" for name in shown for which in STATISTICS]
        joints = next(iter(shown.values()))
        yield table(
            ("joint", *columns),
            {joint: [one[joint][which] for one in shown.values() for which in STATISTICS] for joint in joints},
        )


def _distances(figures: dict[str, Any]) -> Iterator[str]:
    yield heading("By distance from the camera")
    for key, title in (
        ("away_by_distance_mm", "from FP32"),
        ("error_by_distance_mm", "from ground truth, on the same crops"),
    ):
        rows = {
            f"{name}, {band}": [*(values[which] for which in STATISTICS), values["frames"]]
            for name, one in figures["precisions"].items()
            for band, values in one.get(key, {}).items()
            if not (name == "fp32" and "away" in key)
        }
        if rows:
            yield paragraph(f"Distance {title}, mm.")
            yield table(("precision and band", *STATISTICS, "frames"), rows)


def _worst(bundle: Bundle, comparison: Comparison) -> Iterator[str]:
    if "int8" not in comparison.xyz_mm:
        return
    yield heading("Frames with the largest distance between INT8 and FP32")
    shown = worst_frames(comparison, "int8")
    half_mm = bundle.hand.cube_mm / 2
    joints = {name: comparison.xyz_mm[name][shown] / np.float32(half_mm) for name in ("fp32", "int8")}
    away = np.linalg.norm(comparison.xyz_mm["int8"] - comparison.xyz_mm["fp32"], axis=-1).mean(axis=1)
    captions = [f"frame {comparison.frames[index]}: {away[index]:.2f} mm" for index in shown]
    yield picture(
        draw_frames(comparison.crops[shown], joints, captions, bundle.hand.joint_names),
        "worst frames, FP32 gray, INT8 orange",
    )


def _palms(bundle: Bundle, record: CalibrationRecord | None, figures: dict[str, Any]) -> Iterator[str]:
    if bundle.palm is None or "palm" not in figures:
        return
    found = figures["palm"]
    yield heading(f"Palm graph: detections on {found['pictures']} frames")
    if "int8" in found["gates"]:
        gate = msgspec.convert(found["gates"]["int8"], Gate)
        yield paragraph(f"int8: {explain_palms(gate)}", "passed" if gate.passed else "failed")
    elif "int8" in found["precisions"]:
        yield paragraph("FP32 detects no hand in these frames, so INT8 could not be judged.", "failed")
    if record is not None and record.palm is not None:
        left = ", ".join(record.palm.float_layers) or "none"
        yield paragraph(
            f"{record.palm.int8_share:.1%} of its multiply-adds run in INT8. Ranges are from {record.palm.pictures} frames. Float layers: {left}."
        )
    yield paragraph(
        f"Detections with a score of at least {bundle.palm.min_score}, at most {MAX_DETECTIONS} per frame. One of FP32's detections is kept if this "
        f"precision has one within {SAME_LATERAL_MM:.0f} mm laterally and {SAME_DEPTH:.0%} in depth; distances are between such pairs. Kept and "
        f"extra are fractions of FP32's detections; a hand is found if a detection is within {DETECTION_MATCH_MM:.0f} mm of its label."
    )
    columns = ("reports", "kept", "extra", "median_mm", "p95_mm", "found")
    rows = {name: [one[column] for column in columns] for name, one in found["precisions"].items()}
    yield table(("precision", "detections", "kept", "extra", "median, mm", "p95, mm", "found"), rows)


def _calibration(record: CalibrationRecord | None, figures: dict[str, Any]) -> Iterator[str]:
    if record is None:
        return
    if record.sensitivity is not None:
        ranked = sorted(record.sensitivity.layers, key=lambda one: -one.cost.mean_mm)
        yield heading("Error per layer in INT8")
        names = [one.name for one in ranked]
        is_float = [name in record.float_layers for name in names]
        body_mm = record.sensitivity.body_cost.mean_mm
        yield picture(
            draw_layers(names, [one.cost.mean_mm for one in ranked], is_float, body_mm), "layers ranked by error"
        )
    yield heading("Quantization steps of the INT8 graph")
    steps = figures["steps"]
    yield picture(draw_scales(np.array(steps["activations"]), np.array(steps["weights"])), "histograms of step sizes")
    yield heading("Coverage of the calibration set")
    yield picture(draw_coverage(record.coverage), "crops per bin")
    yield table(("dropped because", "crops"), {name: [count] for name, count in record.dropped.items()})
