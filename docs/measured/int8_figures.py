# ruff: noqa: T201
"""The tables of int8.md, from bundles that `handmap calibrate report` has written; and how fast each INT8 graph is beside FP32.

    python -m docs.measured.int8_figures SET BUNDLE [BUNDLE on the other body ...]

Times are of the thread's own CPU, one crop a call, the graphs in turn in one process, so that other work on the machine counts little.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from calibration.calibration_set import read_set
from calibration.compare import PLAIN
from calibration.record import read_record
from handmap.bundle.manifest import Bundle, read_bundle
from handmap.engines.onnx_engine import OnnxEngine, open_onnx_engine, run_graph
from handmap.types.arrays import Float32

ROUNDS = 60
CROPS = 128
ORDER = ["fp32", "fp16", "int8", PLAIN]


def show_report(bundle: Bundle) -> None:
    """The gate and the precisions, from report.json."""
    figures = json.loads((bundle.path / "report.json").read_bytes())
    record = read_record(bundle)
    left = ", ".join(f"`{name}`" for name in record.float_layers) or "none"
    print(f"{bundle.path.name}: body {record.body}, {record.int8_share:.1%} of the work in INT8, in float: {left}")
    print(
        f"fp32 {figures['fp32_mean_mm']} mm on {figures['dataset']}, poor: {figures['is_fp32_poor']}; {figures['gates']['int8']}"
    )
    print("\n| precision | from FP32, mean / p95 / max mm | error, mm | found | AUROC |\n|---|---|---|---|---|")
    for name in sorted(figures["precisions"], key=ORDER.index):
        one = figures["precisions"][name]
        away, error = one["away_from_fp32_mm"], one.get("error_mm", {}).get("mean")
        rest = (
            f"{error:.2f} | {one['found']:.2%} | {one['reliability']['auroc_joint_20mm']:.3f}" if error else "- | - | -"
        )
        print(f"| {name} | {away['mean']:.2f} / {away['p95']:.2f} / {away['max']:.1f} | {rest} |")
    oracle = figures["oracle"]
    print(f"\nas written, from FP32: {oracle['written_away_from_fp32_mm']}")
    print(f"optimized, from as written: {oracle['optimized_away_from_written_mm']}")
    print(f"optimized, from FP32: {oracle['optimized_away_from_fp32_mm']}\n")


def show_speed(bundles: list[Bundle], depth: Float32) -> None:
    """CPU time a crop as the daemon opens each graph, and how far its joints are off FP32's."""
    first = bundles[0]
    engines = {f"{name}": open_onnx_engine(first.graph_path("hand", name), 1, 1, name) for name in ("fp32", "fp16")}
    for bundle in bundles:
        name = f"int8 on {read_record(bundle).body}"
        engines[name] = open_onnx_engine(bundle.graph_path("hand", "int8"), 1, 1, "int8")
    times = {name: np.empty(ROUNDS) for name in engines}
    for turn in range(ROUNDS):
        for name, engine in engines.items():
            times[name][turn] = _cpu_ms(engine, depth[turn % len(depth)][None])
    wanted = _joints(engines["fp32"], depth)
    print(
        "| graph, as opened | CPU ms a crop, p50 | from FP32, mean mm | as written, from FP32, mean mm |\n|---|---|---|---|"
    )
    for name, engine in engines.items():
        away_mm = _mean_mm(_joints(engine, depth), wanted, first)
        written = "-"
        if name.startswith("int8"):
            bundle = next(one for one in bundles if read_record(one).body == name.split()[-1])
            content = bundle.graph_path("hand", "int8").read_bytes()
            written = f"{_mean_mm(run_graph(content, depth, ('joints',), False)['joints'], wanted, first):.2f}"
        print(f"| {name} | {np.median(times[name]):.2f} | {away_mm:.2f} | {written} |")


def _cpu_ms(engine: OnnxEngine, crop: Float32) -> float:
    start = time.thread_time_ns()
    engine.infer(crop)
    return (time.thread_time_ns() - start) / 1e6


def _joints(engine: OnnxEngine, depth: Float32) -> Float32:
    return np.concatenate([engine.infer(crop[None]).joints for crop in depth])


def _mean_mm(joints: Float32, wanted: Float32, bundle: Bundle) -> float:
    return float(np.linalg.norm(joints - wanted, axis=-1).mean() * bundle.hand.cube_mm / 2)


if __name__ == "__main__":
    opened = [read_bundle(Path(argument)) for argument in sys.argv[2:]]
    for each in opened:
        if "report.json" in each.manifest.records:
            show_report(each)
    show_speed(opened, read_set(Path(sys.argv[1])).held_out.depth[:CROPS])
