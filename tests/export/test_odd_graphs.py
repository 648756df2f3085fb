"""Graphs that are not what a bundle promises: one sentence when they are opened, nothing to retry, and no hang."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from handmap.bundle.graph_contents import refuse_odd_graph
from handmap.engines.onnx_engine import open_onnx_engine, open_onnx_palm_engine
from handmap.types.errors import ModelError
from tests.support.bounded import within
from tests.support.tiny_bundle import TINY


def tiny() -> onnx.ModelProto:
    return onnx.load_from_string(TINY.read_bytes())


def second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("camera", TensorProto.FLOAT, ["batch", 4]))


def no_input(model: onnx.ModelProto) -> None:
    del model.graph.input[:]
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((1, 1, 128, 128), np.float32), "depth"))


def half_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    old = model.graph.input[0].name
    model.graph.node.insert(0, helper.make_node("Cast", [old], ["wide"], to=TensorProto.FLOAT))
    for node in model.graph.node[1:]:
        for index, name in enumerate(node.input):
            node.input[index] = "wide" if name == old else name


def empty_axis(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 0


def huge_axis(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 1 << 40


def named_axis(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "width"


def nul_in_a_name(model: onnx.ModelProto) -> None:
    old, new = "joints", "joi\0nts"
    model.graph.output[0].name = new
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            node.output[index] = new if name == old else name


def fixed_batch(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 3


def endless_loop(model: onnx.ModelProto) -> None:
    """Runs for as long as its condition holds: always."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["on_out"]), helper.make_node("Add", ["x", "one"], ["x_out"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("on_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x_out", TensorProto.FLOAT, []),
        ],
        [numpy_helper.from_array(np.array(1, np.float32), "one")],
    )
    model.graph.initializer.extend(
        [numpy_helper.from_array(np.array(True), "yes"), numpy_helper.from_array(np.array(0, np.float32), "start")]
    )
    model.graph.node.insert(0, helper.make_node("Loop", ["", "yes", "start"], ["never"], body=body))
    model.graph.output.append(helper.make_tensor_value_info("never", TensorProto.FLOAT, []))


def nested_loop(model: onnx.ModelProto) -> None:
    """The same in both branches of an If."""
    inner = tiny()
    del inner.graph.node[:], inner.graph.initializer[:], inner.graph.output[:]
    endless_loop(inner)
    branch = helper.make_graph(
        list(inner.graph.node),
        "b",
        [],
        [helper.make_tensor_value_info("never", TensorProto.FLOAT, [])],
        list(inner.graph.initializer),
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "choose"))
    model.graph.node.insert(0, helper.make_node("If", ["choose"], ["out"], then_branch=branch, else_branch=branch))


def outside_weights(model: onnx.ModelProto) -> None:
    onnx.external_data_helper.convert_model_to_external_data(model, location="w.data", size_threshold=0)


CHANGES = [
    second_input, no_input, half_input, empty_axis, huge_axis, named_axis, nul_in_a_name, fixed_batch, endless_loop, nested_loop,
    outside_weights,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_an_odd_graph_is_one_sentence_when_it_is_opened(
    change: Callable[[onnx.ModelProto], None], tmp_path: Path
) -> None:
    model = tiny()
    change(model)
    onnx.save(model, tmp_path / "hand.fp32.onnx")

    with within(60), pytest.raises(ModelError) as refused:
        open_onnx_engine(tmp_path / "hand.fp32.onnx", 1, 1)

    assert str(tmp_path / "hand.fp32.onnx") in str(refused.value)


def test_the_graph_itself_is_opened(tmp_path: Path) -> None:
    onnx.save(tiny(), tmp_path / "hand.fp32.onnx")

    assert open_onnx_engine(tmp_path / "hand.fp32.onnx", 2, 1).tensors.inputs[0].shape == (2, 1, 128, 128)


def test_a_hand_graph_is_no_palm_graph(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        open_onnx_palm_engine(TINY, 1)


def test_a_named_pipe_for_a_graph_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hand.fp32.onnx")

    with within(20), pytest.raises(ModelError, match="named pipe"):
        open_onnx_engine(tmp_path / "hand.fp32.onnx", 1, 1)


@pytest.mark.parametrize(
    "content", [b"\x80" * 100, b"\x3a\xff\xff\xff\xff\x0f", b"\x3b", TINY.read_bytes()[:-7]], ids=range(4)
)
def test_what_is_no_graph_is_a_sentence(content: bytes) -> None:
    with pytest.raises(ModelError, match="not an ONNX graph"):
        refuse_odd_graph(content, "g")
