"""Compares the precisions on the same frames: on identical crops, and with each running its own detection and tracking."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, cast

import numpy as np

from handmap.bundle.manifest import Bundle
from handmap.engines.engine import Engine, Engines
from handmap.engines.factory import EngineConfig, open_engines
from handmap.engines.onnx_engine import open_onnx_engine
from handmap.files.atomic import write_into
from handmap.geometry.crop import crop_hand, normalize_points
from handmap.metrics.pose_error import found_errors_mm
from handmap.system.progress import track_progress
from handmap.system.timing import StageClock
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import TrackerSettings
from handmap.types.arrays import Bool, Float32, Float64
from handmap.types.errors import DatasetError
from handmap.types.values import DepthFrame, Handedness, HandPose

from .calibration_set import CalibrationSet
from .candidates import frame_sha256
from .detector_inputs import DetectorInputs, detector_input_of, join_inputs
from .frame_source import FrameSource, Sample
from .overlap import refuse_shared_sources
from .qdq import quantize_graph
from .quantize import FloatPrecision, load_float_graph
from .record import CalibrationRecord

PLAIN: Final = "int8, all layers, rounded"
REST_FRAMES: Final = 24
REST_DRAWS: Final = 8


@dataclass
class Comparison:
    """Joints (N, J, 3) by precision on the same N crops, mm about each crop's center; truth_mm is NaN if unknown.

    found_error_mm (M, J), expected_error_mm (M, J) and is_found (M,) cover all M labeled frames, with each precision's own
    detection; empty without labels. For a missed hand the expected error is 0.
    """

    dataset: str
    crops: Float32  # (N, 1, 128, 128)
    xyz_mm: dict[str, Float32]
    truth_mm: Float32
    distance_mm: Float64  # (N,) from the camera to the crop's center; NaN if unknown
    frames: list[int]
    pictures: DetectorInputs  # of all frames, with or without a hand
    found_error_mm: dict[str, Float64] = field(default_factory=dict)
    expected_error_mm: dict[str, Float64] = field(default_factory=dict)
    is_found: dict[str, Bool] = field(default_factory=dict)
    rest_jitter_mm: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class EngineSet:
    """The engines to compare, the reference first, and the daemon's tracker settings."""

    engines: Mapping[str, Engines]
    settings: TrackerSettings


@contextmanager
def open_precisions(bundle: Bundle, record: CalibrationRecord | None) -> Iterator[dict[str, Engines]]:
    """The engines for each precision of the hand graph; for a mixed INT8 graph also one with all layers in INT8 and weights
    rounded instead of fitted. All share one palm graph."""
    with ExitStack() as stack:
        engines: dict[str, Engines] = {}
        for name in ("fp32", "fp16", "int8"):
            if name in bundle.hand.precisions:
                opened = open_engines(bundle, EngineConfig(precision=name, use_ungated_int8=True), batch=1)
                stack.callback(opened.close)
                # One palm graph for all, so that every difference is due to the hand graph.
                engines[name] = replace(opened, palm=engines["fp32"].palm) if engines else opened
        if record is not None and record.float_layers:
            folder = stack.enter_context(TemporaryDirectory())
            plain = quantize_graph(
                load_float_graph(bundle, cast(FloatPrecision, record.body)), record.thresholds, frozenset(), {}
            )
            path = Path(folder) / "plain.onnx"
            write_into(path.parent, {path.name: plain.SerializeToString()})
            plain_hand = open_onnx_engine(path, 1, 1, "int8")
            stack.callback(plain_hand.close)
            engines[PLAIN] = replace(engines["fp32"], hand=plain_hand)
        yield engines


def compare_source(frame_source: FrameSource, engine_set: EngineSet, calibrated_on: frozenset[str]) -> Comparison:
    """The comparison on all frames.

    Raises DatasetError if a frame was used for calibration, or if no hand is found.
    """
    kept: list[tuple[Sample, Float32]] = []
    pictures: list[DetectorInputs] = []
    clock, states = StageClock(), dict.fromkeys(engine_set.engines, TrackerState())
    judged: dict[str, list[tuple[Float64, Float64, bool]]] = {name: [] for name in engine_set.engines}
    total = len(frame_source)
    with track_progress(f"compare on {frame_source.name}", total, "frames") as advance:
        for done, sample in enumerate(frame_source, start=1):
            if frame_sha256(sample.frame) in calibrated_on:
                raise DatasetError(
                    f"data {frame_source.name!r}: frame {sample.frame.frame_number} is in the calibration set, so it cannot be compared; "
                    "name other data"
                )
            pictures.append(detector_input_of(sample))
            for name, engines in engine_set.engines.items():
                state = states[name] if frame_source.is_moving else TrackerState()
                poses, states[name] = track_hands(sample.frame, state, engines, engine_set.settings, clock)
                if name == "fp32" and poses:
                    kept.append((sample, poses[0].roi.center_mm))
                if sample.truth_mm is not None:
                    judged[name].append(_judged(poses[0] if poses else None, sample.truth_mm))
            advance(done, f"{len(kept)} hands")
    if not kept:
        raise DatasetError(
            f"data {frame_source.name!r}: no hand was found in {total} frames; use data with hands within range"
        )
    comparison = _on_same_crops(frame_source.name, kept, join_inputs(pictures), engine_set)
    if frame_source.has_truth:
        for name, frames in judged.items():
            error, expected, found = zip(*frames, strict=True)
            comparison.found_error_mm[name], comparison.expected_error_mm[name] = np.array(error), np.array(expected)
            comparison.is_found[name] = np.array(found, dtype=bool)
    comparison.rest_jitter_mm = measure_rest_jitter([(sample.frame, center) for sample, center in kept], engine_set)
    return comparison


def compare_held_out(chosen: CalibrationSet, engine_set: EngineSet) -> Comparison:
    """The comparison on a set's held-out crops; only by distance from FP32.

    Raises DatasetError if there are none, or they are of a source that the set was selected from.
    """
    refuse_shared_sources(chosen)
    depth, truth = chosen.held_out.depth, chosen.held_out.truth
    if len(depth) == 0:
        raise DatasetError(
            f"calibration set {str(chosen.path)!r}: it has no held-out recording; use labeled data, or select with --held-out"
        )
    half_mm = engine_set.settings.cube_mm / 2
    xyz = {name: _infer(engines.hand, depth) * half_mm for name, engines in engine_set.engines.items()}
    unknown = np.full(len(depth), np.nan)
    name, pictures = f"{chosen.path.name}, held out", chosen.held_out_pictures
    return Comparison(name, depth, xyz, truth * half_mm, unknown, list(range(len(depth))), pictures)


def measure_rest_jitter(seen: list[tuple[DepthFrame, Float32]], engine_set: EngineSet) -> dict[str, float]:
    """Standard deviation in mm of the joints of a hand at rest: the same frames with one raw unit of depth noise."""
    random = np.random.default_rng(0)
    shown = [seen[index] for index in np.linspace(0, len(seen) - 1, min(len(seen), REST_FRAMES)).astype(int)]
    depth = np.stack(
        [_noisy_crop(frame, center, engine_set, random) for frame, center in shown for _ in range(REST_DRAWS)]
    )
    half_mm = engine_set.settings.cube_mm / 2
    jitter = {}
    for name, engines in engine_set.engines.items():
        xyz_mm = _infer(engines.hand, depth[:, None]).reshape(len(shown), REST_DRAWS, -1, 3) * half_mm
        jitter[name] = float(np.sqrt((xyz_mm.std(axis=1) ** 2).sum(axis=-1).mean()))
    return jitter


def _judged(pose: HandPose | None, truth_mm: Float32) -> tuple[Float64, Float64, bool]:
    """Joint errors (J,) and expected errors (J,) in mm, and whether the detected hand is the true one."""
    error_mm, is_found = found_errors_mm(pose.xyz_camera_mm if pose else None, truth_mm)
    expected_mm = np.zeros(len(error_mm)) if pose is None else pose.expected_error_mm.astype(np.float64)
    return error_mm, expected_mm, is_found


def _noisy_crop(frame: DepthFrame, center_mm: Float32, engine_set: EngineSet, random: np.random.Generator) -> Float32:
    noise = random.integers(-1, 2, frame.depth.shape)
    depth = np.where(frame.depth > 1, frame.depth + noise, frame.depth).astype(np.uint16)
    noisy = DepthFrame(depth, frame.depth_unit_mm, frame.intrinsics, frame.frame_number, frame.capture_ns)
    crop: Float32 = crop_hand(np, noisy, center_mm, engine_set.settings.cube_mm, _is_mirrored(engine_set)).depth
    return crop


def _on_same_crops(
    name: str, kept: list[tuple[Sample, Float32]], pictures: DetectorInputs, engine_set: EngineSet
) -> Comparison:
    cube_mm = engine_set.settings.cube_mm
    crops = [crop_hand(np, sample.frame, center, cube_mm, _is_mirrored(engine_set)) for sample, center in kept]
    depth = np.stack([crop.depth for crop in crops])[:, None]
    xyz = {precision: _infer(engines.hand, depth) * (cube_mm / 2) for precision, engines in engine_set.engines.items()}
    joints = next(iter(xyz.values())).shape[1]
    truth = [
        np.full((joints, 3), np.nan, np.float32)
        if sample.truth_mm is None
        else normalize_points(np, sample.truth_mm, crop.roi)
        for (sample, _), crop in zip(kept, crops, strict=True)
    ]
    distance_mm = np.array([float(center[2]) for _, center in kept])
    frames = [sample.frame.frame_number for sample, _ in kept]
    return Comparison(name, depth, xyz, np.stack(truth) * np.float32(cube_mm / 2), distance_mm, frames, pictures)


def _infer(engine: Engine, depth: Float32) -> Float32:
    """Joints (N, J, 3) in half cube sides, one crop per call."""
    return np.concatenate([engine.infer(depth[index : index + 1]).joints for index in range(len(depth))])


def _is_mirrored(engine_set: EngineSet) -> bool:
    return engine_set.settings.handedness is Handedness.LEFT
