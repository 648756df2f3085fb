"""INT8 of one network by three tools on the same frames: ours, ONNX Runtime's defaults, nvidia-modelopt's post-training quantization.

make   (in a scratch environment with nvidia-modelopt[onnx]): the graphs of the other two tools
measure (in .venv): joints of all three against FP32, computed by ONNX Runtime without graph optimization
"""

import json
import sys
from pathlib import Path

import numpy as np

DATA, FRAMES = "synthetic:val", 300


def make(bundle: Path, calibration_set: Path, out: Path) -> None:
    """Writes out/ort_defaults.onnx, out/ort_like_ours.onnx and out/modelopt_*.onnx."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    depth = np.load(calibration_set / "crops.npz")["depth"]

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # no types
        def __init__(self) -> None:
            self.left = iter([{"depth": depth[index : index + 1]} for index in range(len(depth))])

        def get_next(self) -> dict[str, np.ndarray] | None:  # type: ignore[type-arg]
            return next(self.left, None)

    out.mkdir(parents=True, exist_ok=True)
    source = str(bundle / "hand.fp32.onnx")
    quantize_static(source, str(out / "ort_defaults.onnx"), Reader())
    quantize_static(
        source, str(out / "ort_symmetric.onnx"), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QInt8, weight_type=QuantType.QInt8, op_types_to_quantize=["Conv", "Gemm"],
        calibrate_method=CalibrationMethod.MinMax,
        extra_options={
            "ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False,
            "OpTypesToExcludeOutputQuantization": ["Conv", "Gemm"],
        },
    )  # fmt: skip
    try:
        from modelopt.onnx.quantization import quantize
    except ImportError as error:
        print(f"no modelopt here: {error}")  # noqa: T201
        return
    for method in ("entropy", "max"):
        quantize(
            source, quantize_mode="int8", calibration_data={"depth": depth}, calibration_method=method,
            calibration_eps=["cpu"], high_precision_dtype="fp32", output_path=str(out / f"modelopt_{method}.onnx"),
        )  # fmt: skip


def measure(bundle: Path, calibration_set: Path, out: Path) -> None:
    """Prints a JSON object: mean, p95 and largest distance from FP32 in mm on crops of DATA, for each graph."""
    from calibration.calibration_set import read_set
    from calibration.candidates import find_candidates
    from calibration.fit import fit_layers
    from calibration.frame_source import FirstSamples, open_source
    from calibration.qdq import quantize_graph
    from calibration.quantize import Recipe, find_thresholds, load_float_graph
    from calibration.ranges import METHODS
    from handmap.bundle.manifest import read_bundle
    from handmap.engines.factory import EngineConfig, open_engines
    from handmap.engines.onnx_engine import run_graph
    from handmap.tracking.fitted_hands import UNFITTED
    from handmap.tracking.smooth import UNSMOOTHED
    from handmap.tracking.tracker_settings import TrackingConfig, tracker_settings

    opened, chosen = read_bundle(bundle), read_set(calibration_set)
    engines = open_engines(opened, EngineConfig(), batch=1)
    settings = tracker_settings(opened, TrackingConfig("right"), UNSMOOTHED, UNFITTED)
    found = find_candidates(FirstSamples(open_source(DATA), FRAMES), 0, engines, settings, 1).candidates
    depth = np.stack([one.depth for one in found])[:, None]
    half_mm = opened.hand.cube_mm / 2
    graphs = {path.stem: path.read_bytes() for path in sorted(out.glob("*.onnx"))}
    for body in ("fp32", "fp16"):
        model = load_float_graph(opened, body)
        for method in METHODS:
            recipe = Recipe(method, body, frozenset())
            thresholds = find_thresholds(model, chosen, recipe.method)
            fitted = fit_layers(model, thresholds, chosen.crops.depth)
            for name, weights in (("rounded", {}), ("fitted", fitted)):
                whole = quantize_graph(model, thresholds, frozenset(), weights)
                graphs[f"ours_{method}_{name}_{body}"] = whole.SerializeToString()
    wanted = run_graph((bundle / "hand.fp32.onnx").read_bytes(), depth, ("joints",))["joints"]
    figures = {}
    for name, content in graphs.items():
        joints = run_graph(content, depth, ("joints",), is_optimized=False)["joints"]
        away_mm = np.linalg.norm(joints - wanted, axis=-1) * half_mm
        figures[name] = [
            round(float(value), 3) for value in (away_mm.mean(), np.percentile(away_mm, 95), away_mm.max())
        ]
    print(json.dumps({"data": DATA, "crops": len(depth), "mean, p95, max mm": figures}, indent=1))  # noqa: T201


if __name__ == "__main__":
    {"make": make, "measure": measure}[sys.argv[1]](*(Path(argument) for argument in sys.argv[2:5]))
