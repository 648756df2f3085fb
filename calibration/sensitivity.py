"""Measures the error of each layer in INT8, and finds the layers to keep in float so that the gate passes with as many
multiply-adds in INT8 as possible.

Every result is saved at once, so an interrupted run continues where it stopped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from onnx import ModelProto

from handmap.bundle.graph_view import read_model
from handmap.bundle.manifest import Bundle, read_bundle
from handmap.engines.onnx_engine import run_graph
from handmap.files.atomic import refuse_unwritable, write_file
from handmap.system.progress import Advance, track_progress
from handmap.types.arrays import Float32, Float64
from handmap.types.errors import ConfigError

from .calibration_set import CalibrationSet, Crops, read_set
from .fit import QuantizedWeight, fit_layers
from .gate import LABELED_LIMITS, UNLABELED_LIMITS, is_within
from .layers import Layer, int8_share, list_layers
from .qdq import quantize_graph
from .quantize import FloatPrecision, find_thresholds, load_float_graph, refuse_other_cube, samples_of
from .ranges import Method
from .record import Distance, LayerCost, Sensitivity, Trial, encode_record, read_sensitivity, work_key

MARGIN: Final = 0.8  # of all limits, because the gate uses other frames


@dataclass(frozen=True)
class Search:
    """Search options: the method and body to quantize with, the number of crops, and the limit of the mean joint distance."""

    method: Method
    body: FloatPrecision
    max_crops: int
    max_mm: float


@dataclass(frozen=True)
class Bench:
    """What assignments are tested on: the body, its ranges and fitted weights, and crops with FP32 joints and, if known, ground truth."""

    model: ModelProto
    layers: list[Layer]
    thresholds: dict[str, float]
    fitted: dict[str, QuantizedWeight]
    crops: Crops
    joints: Float32  # (N, J, 3) of the FP32 graph
    half_cube_mm: float

    def cost(self, float_layers: frozenset[str]) -> Distance:
        """The error with all layers except these in INT8."""
        if len(float_layers) == len(self.layers):
            return self.distance(self.model)
        return self.distance(quantize_graph(self.model, self.thresholds, float_layers, self.fitted))

    def distance(self, model: ModelProto) -> Distance:
        """Joint errors of a graph on the crops, without graph optimization, which matches what TensorRT computes."""
        found = run_graph(model.SerializeToString(), self.crops.depth, ("joints",), is_optimized=False)["joints"]
        away_mm = self._mm(found, self.joints)
        mean_mm, p95_mm = float(away_mm.mean()), float(np.percentile(away_mm, 95))
        if not self.crops.has_truth:
            return Distance(mean_mm, p95_mm)
        is_labeled = np.isfinite(self.crops.truth).all(axis=-1)
        own_mm, fp32_mm = (self._mm(joints, self.crops.truth)[is_labeled] for joints in (found, self.joints))
        p95_beyond_mm = float(np.percentile(own_mm, 95) - np.percentile(fp32_mm, 95))
        return Distance(mean_mm, p95_mm, float(own_mm.mean() - fp32_mm.mean()), p95_beyond_mm)

    def _mm(self, first: Float32, second: Float32) -> Float64:
        away: Float64 = np.linalg.norm(first.astype(np.float64) - second, axis=-1) * self.half_cube_mm
        return away


def find_sensitivity(bundle_path: Path, set_path: Path, how: Search, out: Path) -> Sensitivity:
    """Ranks the layers, searches for the assignment, and writes both to `out`; continues an unfinished file.

    Raises ConfigError if `out` belongs to another search.
    """
    bundle, chosen = read_bundle(bundle_path), read_set(set_path)
    refuse_other_cube(bundle, chosen)
    key = work_key(bundle, chosen, how.method, how.body)
    crops = min(len(chosen.crops.depth), how.max_crops)
    before = _resume(out, key, crops, how.max_mm)
    refuse_unwritable(out)
    bench = make_bench(bundle, chosen, how)
    state = before or Sensitivity(key, crops, how.max_mm, bench.distance(bench.model))
    names = [layer.name for layer in bench.layers]
    with track_progress("sensitivity", len(names), "layers", first=len(state.layers)) as advance:
        for done, layer in enumerate(bench.layers[len(state.layers) :], start=len(state.layers) + 1):
            cost = bench.cost(frozenset(names) - {layer.name})
            state = msgspec.structs.replace(state, layers=(*state.layers, LayerCost(layer.name, layer.macs, cost)))
            write_file(out, encode_record(state))
            advance(done, f"{layer.name}: {cost.mean_mm:.3f} mm")
    if state.float_layers is None:
        state = search_mixed(bench, state, lambda found: write_file(out, encode_record(found)))
        write_file(out, encode_record(state))
    return state


def make_bench(bundle: Bundle, chosen: CalibrationSet, how: Search) -> Bench:
    """The bench on at most how.max_crops evenly spaced crops of the set; ranges come from all crops."""
    model = load_float_graph(bundle, how.body)
    shown = np.linspace(0, len(chosen.crops.depth) - 1, min(len(chosen.crops.depth), how.max_crops)).astype(int)
    crops = Crops(chosen.crops.depth[shown], chosen.crops.truth[shown])
    full = read_model(bundle.graph_path("hand", "fp32"))
    joints = run_graph(full.SerializeToString(), crops.depth, ("joints",))["joints"]
    thresholds = find_thresholds(model, chosen, how.method)
    fitted = fit_layers(model, thresholds, samples_of(chosen, "hand"))
    return Bench(model, list_layers(model), thresholds, fitted, crops, joints, bundle.hand.cube_mm / 2)


def search_mixed(bench: Bench, state: Sensitivity, save: Callable[[Sensitivity], None]) -> Sensitivity:
    """The state with the final assignment: the fewest multiply-adds in float such that the limits hold with a margin.

    Layers move to float by descending error until the limits hold; then each moves back, largest first, if the limits still
    hold. This is done by error and by error per multiply-add; the better assignment is kept.
    """
    known = {frozenset(trial.float_layers): trial for trial in state.trials}

    def holds(float_layers: frozenset[str]) -> bool:
        nonlocal state
        if float_layers not in known:
            cost = bench.cost(float_layers)
            share = int8_share(bench.layers, float_layers)
            known[float_layers] = Trial(
                tuple(sorted(float_layers)), share, cost, meets_limits(cost, state.max_mm, MARGIN)
            )
            state = msgspec.structs.replace(state, trials=(*state.trials, known[float_layers]))
            save(state)
            advance(len(known), f"{share:.0%} in INT8: {cost.mean_mm:.3f} mm")
        return known[float_layers].passed

    macs = {layer.name: layer.macs for layer in bench.layers}
    by_cost = sorted(state.layers, key=lambda layer: -layer.cost.mean_mm)
    by_price = sorted(state.layers, key=lambda layer: -layer.cost.mean_mm / max(layer.macs, 1))
    advance: Advance
    with track_progress("mixed search", 4 * len(macs), "assignments", first=len(known)) as advance:
        found = [_search([layer.name for layer in order], macs, holds) for order in (by_cost, by_price)]
    best = max(found, key=lambda float_layers: int8_share(bench.layers, float_layers))
    return msgspec.structs.replace(state, float_layers=tuple(sorted(best)))


def meets_limits(cost: Distance, max_mm: float, margin: float) -> bool:
    """Whether an error is within this fraction of the gate's limits, by labels if there are any, and of max_mm from FP32."""
    if not cost.mean_mm <= margin * max_mm:  # NaN is not within
        return False
    if cost.truth_mean_mm is not None and cost.truth_p95_mm is not None:
        return is_within(cost.truth_mean_mm, cost.truth_p95_mm, LABELED_LIMITS, margin)
    return is_within(cost.mean_mm, cost.p95_mm, UNLABELED_LIMITS, margin)


def _search(order: list[str], macs: dict[str, int], holds: Callable[[frozenset[str]], bool]) -> frozenset[str]:
    taken: frozenset[str] = frozenset()
    for name in order:
        if holds(taken):
            break
        taken |= {name}
    for name in sorted(taken, key=lambda one: -macs[one]):
        if holds(taken - {name}):
            taken -= {name}
    return taken


def _resume(path: Path, key: str, crops: int, max_mm: float) -> Sensitivity | None:
    if not path.exists():
        return None
    state = read_sensitivity(path)
    if (state.key, state.crops, state.max_mm) != (key, crops, max_mm):
        raise ConfigError(
            f"sensitivity {str(path)!r}: it belongs to another bundle, set, method, body, number of crops or limit; use another --out"
        )
    return state
