"""ONNX Runtime's graph optimization on INT8 graphs: enabled where the joints stay the same, disabled where they do not."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from calibration.calibration_set import read_set
from calibration.quantize import FloatPrecision, Recipe, quantize_bundle
from handmap.bundle.graph_steps import has_float_steps
from handmap.bundle.manifest import read_bundle
from handmap.engines.onnx_engine import open_onnx_engine, run_graph
from handmap.types.arrays import Float32
from handmap.types.errors import ModelError

HALF_CUBE_MM = 125.0
AGREE_MM = 1.0  # mean: fused kernels round at other points than the graph as written


def quantized(bundle_path: Path, set_path: Path, out: Path, body: FloatPrecision) -> Path:
    quantize_bundle(bundle_path, set_path, Recipe("mse", body, frozenset()), None, out)
    return read_bundle(out).graph_path("hand", "int8")


@pytest.fixture(scope="module")
def graphs(bundle_path: Path, set_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[FloatPrecision, Path]:
    folder = tmp_path_factory.mktemp("bodies")
    return {body: quantized(bundle_path, set_path, folder / body, body) for body in ("fp32", "fp16")}


def opened_joints(path: Path, depth: Float32) -> Float32:
    engine = open_onnx_engine(path, 1, 1, "int8")
    return np.concatenate([engine.infer(depth[index : index + 1]).joints for index in range(len(depth))])


def test_steps_are_identified_by_their_type_in_the_file(graphs: dict[FloatPrecision, Path]) -> None:
    assert has_float_steps(graphs["fp32"].read_bytes())
    assert not has_float_steps(graphs["fp16"].read_bytes())


def test_one_step_in_half_precision_is_enough(graphs: dict[FloatPrecision, Path]) -> None:
    model = onnx.load(graphs["fp32"])
    step = next(node.input[1] for node in model.graph.node if node.op_type == "DequantizeLinear")
    tensor = next(one for one in model.graph.initializer if one.name == step)
    tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(np.float16), step))

    assert not has_float_steps(model.SerializeToString())


def test_a_step_that_is_not_an_initializer_is_ignored(graphs: dict[FloatPrecision, Path]) -> None:
    model = onnx.load(graphs["fp32"])
    step = next(node.input[1] for node in model.graph.node if node.op_type == "QuantizeLinear")
    kept = [one for one in model.graph.initializer if one.name != step]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)

    assert not has_float_steps(model.SerializeToString())


def test_a_truncated_file_is_rejected(graphs: dict[FloatPrecision, Path]) -> None:
    with pytest.raises(ModelError, match="not an ONNX graph, or truncated"):
        has_float_steps(graphs["fp32"].read_bytes()[:-100])


def test_on_an_fp32_body_joints_are_the_same_optimized_or_not(
    graphs: dict[FloatPrecision, Path], set_path: Path
) -> None:
    depth = read_set(set_path).crops.depth
    content = graphs["fp32"].read_bytes()
    written, optimized = (run_graph(content, depth, ("joints",), choice)["joints"] for choice in (False, True))

    used = opened_joints(graphs["fp32"], depth)

    away_mm = np.linalg.norm(used - written, axis=-1) * HALF_CUBE_MM
    assert away_mm.mean() < AGREE_MM
    assert np.abs(used - optimized).max() * HALF_CUBE_MM < 0.01


def test_on_an_fp16_body_the_graph_is_opened_as_it_is_written(
    graphs: dict[FloatPrecision, Path], set_path: Path
) -> None:
    depth = read_set(set_path).crops.depth
    written = run_graph(graphs["fp16"].read_bytes(), depth, ("joints",), False)["joints"]

    used = opened_joints(graphs["fp16"], depth)

    assert np.abs(used - written).max() * HALF_CUBE_MM < 0.01
