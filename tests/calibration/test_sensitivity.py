"""A planted bad layer is ranked first and is the only one kept in float; an interrupted search continues."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from onnx import ModelProto

from calibration.calibration_set import Crops, read_set
from calibration.layers import list_layers
from calibration.qdq import quantizable_tensors
from calibration.ranges import choose_thresholds, collect_histograms
from calibration.record import Distance, LayerCost, Sensitivity, read_sensitivity
from calibration.sensitivity import Bench, Search, find_sensitivity, meets_limits, search_mixed
from handmap.engines.onnx_engine import run_graph
from handmap.types.errors import ConfigError
from tests.calibration.networks import plant_outliers, residual_graph

HALF_CUBE_MM = 125.0
MAX_MM = 2.0


def make_bench(model: ModelProto, crops: Crops) -> Bench:
    histograms = collect_histograms(model, quantizable_tensors(model), crops.depth)
    joints = run_graph(model.SerializeToString(), crops.depth, ("joints",))["joints"]
    return Bench(model, list_layers(model), choose_thresholds(histograms, "minmax"), {}, crops, joints, HALF_CUBE_MM)


def rank(bench: Bench) -> Sensitivity:
    names = frozenset(layer.name for layer in bench.layers)
    costs = tuple(LayerCost(layer.name, layer.macs, bench.cost(names - {layer.name})) for layer in bench.layers)
    return Sensitivity("key", len(bench.joints), MAX_MM, bench.cost(names), costs)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, set_path: Path) -> Bench:
    model = residual_graph(tmp_path_factory.mktemp("graph"))
    return make_bench(plant_outliers(model, "first.0", "second"), read_set(set_path).crops)


def test_planting_does_not_change_the_float_network(tmp_path: Path, set_path: Path) -> None:
    crops = read_set(set_path).crops
    model = residual_graph(tmp_path)

    planted = plant_outliers(model, "first.0", "second")

    joints = [run_graph(one.SerializeToString(), crops.depth, ("joints",))["joints"] for one in (model, planted)]
    assert np.abs(joints[0] - joints[1]).max() * HALF_CUBE_MM < 0.05


def test_the_planted_layer_is_ranked_first_and_is_the_only_one_left_in_float(planted: Bench) -> None:
    state = rank(planted)
    saved: list[Sensitivity] = []

    found = search_mixed(planted, state, saved.append)

    ranked = sorted(state.layers, key=lambda layer: -layer.cost.mean_mm)
    assert ranked[0].name == "second"
    assert ranked[0].cost.mean_mm > 3 * ranked[1].cost.mean_mm
    assert found.float_layers == ("second",)
    assert not next(trial for trial in found.trials if trial.float_layers == ()).passed
    assert saved[-1].trials == found.trials


def test_an_interrupted_search_repeats_nothing(planted: Bench) -> None:
    state = rank(planted)
    whole = search_mixed(planted, state, lambda _: None)
    half_way = msgspec.structs.replace(state, trials=whole.trials[:1])
    tried: list[int] = []

    again = search_mixed(planted, half_way, lambda found: tried.append(len(found.trials)))

    assert again.float_layers == whole.float_layers
    assert tried == list(range(2, len(whole.trials) + 1))


def test_a_healthy_network_stays_entirely_in_int8(bundle_path: Path, set_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "sensitivity.json"

    found = find_sensitivity(bundle_path, set_path, Search("mse", "fp32", 32, MAX_MM), out)

    assert found.float_layers == ()
    assert len(found.layers) == 7 and found.body_cost.mean_mm < 0.001
    assert read_sensitivity(out) == found


def test_an_unfinished_file_is_continued(bundle_path: Path, set_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "sensitivity.json"
    whole = find_sensitivity(bundle_path, set_path, Search("mse", "fp32", 16, MAX_MM), out)
    marked = msgspec.structs.replace(whole.layers[0], cost=Distance(999.0, 999.0))
    out.write_bytes(
        msgspec.json.encode(
            msgspec.structs.replace(whole, layers=(marked, *whole.layers[1:3]), trials=(), float_layers=None)
        )
    )

    again = find_sensitivity(bundle_path, set_path, Search("mse", "fp32", 16, MAX_MM), out)

    assert again.layers == (marked, *whole.layers[1:])  # the first is from the file, not measured again


def test_an_unrelated_file_is_rejected(bundle_path: Path, set_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "sensitivity.json"
    out.write_bytes(msgspec.json.encode(Sensitivity("another", 16, MAX_MM, Distance(0.0, 0.0))))

    with pytest.raises(ConfigError, match="another bundle, set, method, body, number of crops"):
        find_sensitivity(bundle_path, set_path, Search("mse", "fp32", 16, MAX_MM), out)


def test_a_file_with_another_limit_is_rejected(bundle_path: Path, set_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "sensitivity.json"
    find_sensitivity(bundle_path, set_path, Search("mse", "fp32", 8, MAX_MM), out)

    with pytest.raises(ConfigError, match="number of crops or limit"):
        find_sensitivity(bundle_path, set_path, Search("mse", "fp32", 8, MAX_MM / 2), out)


def test_labels_decide_if_there_are_any() -> None:
    far_but_no_worse = Distance(3.0, 6.0, 0.1, 0.2)
    near_but_worse = Distance(0.5, 1.0, 0.6, 0.2)

    assert meets_limits(far_but_no_worse, 4.0, 1.0) and not meets_limits(near_but_worse, 4.0, 1.0)
    assert meets_limits(Distance(1.9, 3.9), 4.0, 1.0) and not meets_limits(Distance(1.9, 3.9), 4.0, 0.8)


def test_the_joint_distance_limit_holds_even_with_labels() -> None:
    assert meets_limits(Distance(1.0, 2.0, 0.1, 0.2), 1.0, 1.0)
    assert not meets_limits(Distance(1.01, 2.0, 0.1, 0.2), 1.0, 1.0)
    assert not meets_limits(Distance(0.9, 2.0), 1.0, 0.8)


def test_a_lower_limit_keeps_more_layers_in_float(planted: Bench) -> None:
    state = rank(planted)
    found = search_mixed(planted, state, lambda _: None)
    half_mm = next(trial.cost.mean_mm for trial in found.trials if trial.float_layers == found.float_layers) / 2

    nearer = search_mixed(planted, msgspec.structs.replace(state, max_mm=half_mm), lambda _: None)

    last = next(trial for trial in nearer.trials if trial.float_layers == nearer.float_layers)
    assert last.passed and last.cost.mean_mm <= half_mm
    assert len(nearer.float_layers or ()) > len(found.float_layers or ())
