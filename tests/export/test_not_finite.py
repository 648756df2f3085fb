"""NaN decides nothing in its own favor: every comparison that lets a network or an engine pass fails on it."""

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from calibration.fit import Moments, fit_layer
from calibration.ranges import collect_histograms
from calibration.record import Distance
from calibration.sensitivity import meets_limits
from export.to_bundle import export_bundle
from handmap.bundle.confidence import ConfidenceTable, JointDoubt
from handmap.engines.onnx_engine import open_onnx_engine
from handmap.metrics.pose_error import found_errors_mm
from handmap.types.errors import ModelError
from tests.export.programs import SmallNetwork, save_program
from tests.support.tiny_bundle import TINY

NAN = float("nan")


class NotFiniteNetwork(SmallNetwork):
    """Its weights are finite, its joints are not."""

    def forward(self, depth: Tensor) -> dict[str, Tensor]:
        outputs = super().forward(depth)
        return outputs | {"joints": outputs["joints"] + torch.log(depth.mean() * 0 - 1)}


def test_parity_of_nan_with_nan_is_not_parity(recording: Path, tmp_path: Path) -> None:
    program = save_program(tmp_path / "p.pt2", NotFiniteNetwork())

    with pytest.raises(ModelError, match="not finite"):
        export_bundle(program, tmp_path / "b", recording, None)

    assert not (tmp_path / "b").exists()


def test_an_onnx_engine_that_answers_nan_is_not_opened(tmp_path: Path) -> None:
    model = onnx.load_from_string(TINY.read_bytes())
    last = next(node for node in model.graph.node if "joints" in node.output)
    last.output[:] = ["sound"]
    model.graph.node.extend(
        [helper.make_node("Sqrt", ["minus"], ["nan"]), helper.make_node("Add", ["sound", "nan"], ["joints"])]
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array(-1, np.float32), "minus"))
    onnx.save(model, tmp_path / "nan.onnx")

    with pytest.raises(ModelError, match="not finite"):
        open_onnx_engine(tmp_path / "nan.onnx", 1, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_ranges_of_a_tensor_that_is_not_finite_are_refused(value: float) -> None:
    shape: list[str | int | None] = ["batch", 1, 2, 2]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["depth"], ["x"])],
        "g",
        [helper.make_tensor_value_info("depth", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    samples = np.ones((20, 1, 2, 2), np.float32)
    samples[7, 0, 1, 1] = value

    with pytest.raises(ModelError, match="wanted a finite range"):
        collect_histograms(model, ["x"], samples)


@pytest.mark.parametrize("place", range(4))
def test_a_fit_of_what_is_not_finite_is_refused(place: int) -> None:
    parts = [np.ones((2, 1, 1, 1)), np.ones(2), np.eye(2), np.eye(2)]
    parts[place].flat[0] = NAN

    with pytest.raises(ModelError, match="NaN or infinite"):
        fit_layer(parts[0], parts[1], Moments(parts[2], parts[3]), np.float32)


@pytest.mark.parametrize(
    "cost",
    [
        Distance(NAN, 0.0),
        Distance(0.0, NAN),
        Distance(NAN, 0.0, 0.0, 0.0),
        Distance(0.0, 0.0, NAN, 0.0),
        Distance(0.0, 0.0, 0.0, NAN),
    ],
)
def test_a_cost_that_is_nan_is_within_no_limit(cost: Distance) -> None:
    assert not meets_limits(cost, 1.0, 1.0)


@pytest.mark.parametrize("values", [(0.0, NAN), (NAN, 1.0), (0.0, NAN, 1.0)])
def test_a_column_with_nan_does_not_rise(values: tuple[float, ...]) -> None:
    others = tuple(1.0 for _ in values)

    with pytest.raises(ValueError, match="must rise"):
        ConfidenceTable(values, others)
    with pytest.raises(ValueError, match="must rise"):
        JointDoubt(values, others)


def test_joints_that_are_nan_are_a_missed_hand() -> None:
    errors_mm, is_found = found_errors_mm(np.full((21, 3), np.nan, np.float32), np.zeros((21, 3), np.float32))

    assert not is_found and all(math.isfinite(error) for error in errors_mm)
