"""The FP16 graph: FP32 at its ends, FP16 inside, close enough to FP32; otherwise the error names the node."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from torch import Tensor, nn

from export.fp16 import half_of_graph, refuse_stray_casts, to_half
from export.samples import crops_of_recording
from export.simplify import simplify
from export.to_bundle import export_bundle
from export.to_onnx import TrainedProgram, load_program, to_onnx
from handmap.bundle.golden import read_golden
from handmap.bundle.manifest import read_bundle
from handmap.engines.factory import EngineConfig, check_golden, open_engines
from handmap.engines.onnx_engine import run_graph
from handmap.types.arrays import Float32
from handmap.types.errors import ModelError
from tests.export.programs import SmallNetwork, save_program

HALF_CUBE_MM = 125.0


@pytest.fixture(scope="module")
def crops(recording: Path) -> Float32:
    return crops_of_recording(recording, 250.0, 8, 16)


def load(path: Path) -> tuple[TrainedProgram, onnx.ModelProto]:
    trained = load_program(path, None)
    return trained, simplify(to_onnx(trained), path)


def casts(model: onnx.ModelProto) -> list[tuple[str, str]]:
    return [(node.input[0], node.output[0]) for node in model.graph.node if node.op_type == "Cast"]


def test_a_bundle_has_an_fp16_graph_that_passes_the_golden_check(
    program: Path, recording: Path, tmp_path: Path
) -> None:
    report = export_bundle(program, tmp_path / "bundle", recording, None)

    bundle = read_bundle(tmp_path / "bundle")
    engines = open_engines(bundle, EngineConfig(precision="fp16"), batch=1)
    assert check_golden(engines.hand, read_golden(bundle), bundle) < 1.0
    assert report.half is not None and report.half.route == "half program"
    assert 0 < report.half.mean_mm <= report.half.worst_mm < 1.0


def test_casts_only_at_the_input_and_the_outputs(program: Path, crops: Float32) -> None:
    trained, full = load(program)

    half = to_half(trained, full, crops, HALF_CUBE_MM)

    weights = {
        tensor.name: tensor.data_type
        for tensor in half.model.graph.initializer
        if tensor.data_type != TensorProto.INT64
    }
    assert set(weights.values()) == {TensorProto.FLOAT16}
    assert set(weights) == {tensor.name for tensor in full.graph.initializer if tensor.data_type != TensorProto.INT64}
    assert [ends[0] for ends in casts(half.model)][:1] == ["depth"] and len(casts(half.model)) == 3
    assert {value.type.tensor_type.elem_type for value in (*half.model.graph.input, *half.model.graph.output)} == {
        TensorProto.FLOAT
    }


def test_fp16_can_be_left_out(program: Path, recording: Path, tmp_path: Path) -> None:
    export_bundle(program, tmp_path / "bundle", recording, None, has_half=False)

    assert set(read_bundle(tmp_path / "bundle").hand.precisions) == {"fp32"}


class OwnFloats(SmallNetwork):
    """Creates float32 tensors inside, so that the program does not run in half precision."""

    def forward(self, depth: Tensor) -> dict[str, Tensor]:
        return super().forward(depth.float() * torch.ones(1, dtype=torch.float32))


def test_a_program_that_does_not_run_in_half_precision_is_converted(crops: Float32, tmp_path: Path) -> None:
    trained, full = load(save_program(tmp_path / "floats.pt2", OwnFloats()))

    half = to_half(trained, full, crops, HALF_CUBE_MM)

    assert half.route == "converted graph"
    assert half.mean_mm < 0.5


class Resizing(SmallNetwork):
    """Upsamples inside: the converter would turn the scale factors into FP16, which ONNX forbids."""

    def forward(self, depth: Tensor) -> dict[str, Tensor]:
        small = nn.functional.avg_pool2d(depth, 2)
        return super().forward(nn.functional.interpolate(small, scale_factor=2.0, mode="nearest"))


def test_a_resize_keeps_its_float32_scales(crops: Float32, tmp_path: Path) -> None:
    trained, full = load(save_program(tmp_path / "resize.pt2", Resizing()))
    assert "Resize" in {node.op_type for node in full.graph.node}

    half = half_of_graph(full, trained.path)

    refuse_stray_casts(half)
    wanted = run_graph(full.SerializeToString(), crops, ("joints",))["joints"]
    found = run_graph(half.SerializeToString(), crops, ("joints",))["joints"]
    np.testing.assert_allclose(found, wanted, atol=5e-3)


class Overflowing(SmallNetwork):
    """Multiplies by a million and back: within the range of FP32, but not of FP16."""

    def forward(self, depth: Tensor) -> dict[str, Tensor]:
        large = nn.functional.conv2d(depth, torch.full((1, 1, 1, 1), 1e6))
        return super().forward(nn.functional.conv2d(large, torch.full((1, 1, 1, 1), 1e-6)))


def test_an_fp16_overflow_is_rejected_naming_the_node(crops: Float32, tmp_path: Path) -> None:
    trained, full = load(save_program(tmp_path / "overflow.pt2", Overflowing()))
    first = full.graph.node[0].name

    with pytest.raises(ModelError, match=f"FP16 is not accurate enough.*node '{first}'.*--precisions fp32"):
        to_half(trained, full, crops, HALF_CUBE_MM)


def test_a_cast_inside_the_network_is_rejected() -> None:
    value = onnx.helper.make_tensor_value_info
    nodes = [
        onnx.helper.make_node("Relu", ["x"], ["a"]),
        onnx.helper.make_node("Cast", ["a"], ["b"], "inner", to=TensorProto.FLOAT16),
        onnx.helper.make_node("Relu", ["b"], ["c"]),
        onnx.helper.make_node("Cast", ["c"], ["y"], to=TensorProto.FLOAT),
    ]
    graph = onnx.helper.make_graph(nodes, "test", [value("x", 1, ["batch", 4])], [value("y", 1, ["batch", 4])])

    with pytest.raises(ModelError, match="'inner' casts to float16 inside"):
        refuse_stray_casts(onnx.helper.make_model(graph))
