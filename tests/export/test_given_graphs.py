"""Networks as PyTorch writes them: what goes in as it is, and what each other file is told to become."""

import hashlib
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import msgspec
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from torch import nn

from export.from_onnx import load_graph
from export.simplify import check_same_outputs
from export.to_bundle import export_bundle
from export.to_onnx import load_program
from handmap.bundle.manifest import read_bundle
from handmap.types.errors import ModelError
from tests.export.make_torch_graphs import FOLDER, Tiny
from tests.export.programs import FACTS, SmallNetwork, save_program
from tests.export.test_odd_graphs import endless_loop, nested_loop, nul_in_a_name, second_input
from tests.support.bounded import within

GRAPHS = sorted(FOLDER.glob("*.onnx"))


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    path = tmp_path / "facts.yaml"
    path.write_bytes(msgspec.yaml.encode(msgspec.structs.replace(FACTS, provenance={})))
    return path


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A copy of a graph with its weights beside it."""
    for file in FOLDER.glob("torch-2.13.0.*"):
        shutil.copy(file, tmp_path)
    return tmp_path / "torch-2.13.0.onnx"


def refusal(path: Path, facts: Path) -> str:
    with within(60), pytest.raises(ModelError) as refused:
        load_graph(path, facts)
    return str(refused.value)


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_what_each_version_writes_by_default_is_read_from_any_folder(
    path: Path, facts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")

    given = load_graph(path, facts)

    assert [entry.version for entry in given.model.opset_import] == [18]
    for value in (*given.model.graph.input, *given.model.graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"
    content = path.read_bytes() + path.with_name(f"{path.name}.data").read_bytes()
    assert given.sha256 == hashlib.sha256(content).hexdigest()


def test_there_is_a_graph_of_each_version() -> None:
    assert [path.stem for path in GRAPHS] == ["torch-2.11.0", "torch-2.13.0", "torch-2.14.1", "torch-2.9.1"]


def test_a_default_graph_becomes_a_bundle_that_computes_the_same(
    graph: Path, facts: Path, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    report = export_bundle(Path(graph.name), tmp_path / "b", recording, facts)

    assert report.torch_to_onnx_mm < 0.01 and report.torch_to_simplified_mm < 0.01  # mm
    assert set(read_bundle(tmp_path / "b").hand.precisions) == {"fp32", "fp16"}


def test_other_weights_beside_the_graph_are_another_checkpoint(graph: Path, facts: Path) -> None:
    before = load_graph(graph, facts).sha256
    data = graph.with_name(f"{graph.name}.data")
    data.write_bytes(bytes([data.read_bytes()[0] ^ 1]) + data.read_bytes()[1:])

    assert load_graph(graph, facts).sha256 != before


def missing(data: Path) -> None:
    data.unlink()


def cut(data: Path) -> None:
    data.write_bytes(data.read_bytes()[:-1])


def huge(data: Path) -> None:
    with data.open("r+b") as file:
        file.truncate(3 << 30)


def linked_away(data: Path) -> None:
    data.unlink()
    data.symlink_to("/etc/passwd")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (missing, "No such file"),
        (cut, "does not hold the weights"),
        (huge, "at most 2 GB"),
        (linked_away, "wanted a file beside it"),
    ],
)
def test_weights_that_cannot_be_used_are_a_sentence(
    change: Callable[[Path], None], said: str, graph: Path, facts: Path
) -> None:
    change(graph.with_name(f"{graph.name}.data"))

    message = refusal(graph, facts)

    assert said in message and "\n" not in message


@pytest.mark.parametrize(
    ("key", "value"),
    [("location", "../x"), ("location", "/etc/passwd"), ("location", ""), ("location", "a\0b"), ("offset", "-1"),
     ("offset", "9" * 5000), ("length", "1e3"), ("length", "0")],
)  # fmt: skip
def test_weights_that_lie_elsewhere_are_refused(key: str, value: str, graph: Path, facts: Path) -> None:
    model = onnx.load(graph, load_external_data=False)
    tensor = next(one for one in model.graph.initializer if one.external_data)
    next(entry for entry in tensor.external_data if entry.key == key).value = value
    graph.write_bytes(model.SerializeToString())

    assert "export" in refusal(graph, facts)


def whole() -> onnx.ModelProto:
    return onnx.load(FOLDER / "torch-2.13.0.onnx")


def fixed_batch(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1


def symbolic_height(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"


def half_weight(model: onnx.ModelProto) -> None:
    first = model.graph.initializer[0]
    first.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(first).astype(np.float16), first.name))


def half_cast(model: onnx.ModelProto) -> None:
    model.graph.node.append(onnx.helper.make_node("Cast", ["joints"], ["narrow"], to=TensorProto.FLOAT16))


def quantized(model: onnx.ModelProto) -> None:
    one = numpy_helper.from_array(np.array(1, np.float32), "one")
    model.graph.initializer.append(one)
    model.graph.node.append(onnx.helper.make_node("QuantizeLinear", ["joints", "one"], ["levels"]))


def scalar_input(model: onnx.ModelProto) -> None:
    del model.graph.input[0].type.tensor_type.shape.dim[:]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (fixed_batch, "fixed at 1, wanted one for any number of hands"), (symbolic_height, "symbolic axis 2"),
        (half_weight, "float16 (FP16), wanted a network in float32"), (half_cast, "float16 (FP16)"), (quantized, "quantized (INT8)"),
        (endless_loop, "Loop, which may never end"), (nested_loop, "Loop, which may never end"), (second_input, "camera"),
        (nul_in_a_name, "wanted depth, and joints"), (scalar_input, "batch size of 'depth' is missing"),
    ],
)  # fmt: skip
def test_an_odd_graph_is_one_sentence(
    change: Callable[[onnx.ModelProto], None], said: str, facts: Path, tmp_path: Path
) -> None:
    model = whole()
    change(model)
    (tmp_path / "odd.onnx").write_bytes(model.SerializeToString())

    assert said in refusal(tmp_path / "odd.onnx", facts)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_a_program_that_is_not_in_float32_is_said_to_be_so(kind: torch.dtype, facts: Path, tmp_path: Path) -> None:
    program = torch.export.export(Tiny().eval().to(kind), (torch.zeros(2, 1, 128, 128, dtype=kind),))
    torch.export.save(program, tmp_path / "p.pt2")

    with pytest.raises(ModelError, match=f"is {str(kind).removeprefix('torch.')}.*float32"):
        load_program(tmp_path / "p.pt2", facts)


def state_dict(path: Path) -> None:
    torch.save(Tiny().state_dict(), path)


def checkpoint(path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": Tiny().state_dict()}, path)


def module(path: Path) -> None:
    torch.save(Tiny(), path)


def old_state_dict(path: Path) -> None:
    torch.save(Tiny().state_dict(), path, _use_new_zipfile_serialization=False)


def torchscript(path: Path) -> None:
    torch.jit.trace(Tiny().eval(), torch.zeros(2, 1, 128, 128)).save(path)  # type: ignore[no-untyped-call]  # torch stubs


@pytest.mark.parametrize(
    ("save", "name"),
    [
        (state_dict, "the weights of a network (a state_dict)"), (checkpoint, "a checkpoint with the keys 'epoch', 'state_dict'"),
        (module, "a pickled module"), (old_state_dict, "the weights of a network (a state_dict)"), (torchscript, "TorchScript"),
    ],
)  # fmt: skip
def test_another_form_is_named_and_its_lines_make_what_goes_in(
    save: Callable[[Path], None], name: str, facts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "given.pth")
    with pytest.raises(ModelError) as refused:
        load_program(tmp_path / "given.pth", facts)
    first, *lines = str(refused.value).splitlines()
    assert f"it is {name}, wanted" in first

    code = ModuleType("your_code")
    code.Network = Tiny  # type: ignore[attr-defined]  # what the lines import
    monkeypatch.setitem(sys.modules, "your_code", code)
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec("\n".join(lines), {})  # our own advice

    made = next(path for path in tmp_path.glob("network.*"))
    if made.suffix == ".onnx":
        load_graph(made, facts)
    else:
        load_program(made, facts)


class Stranger(nn.Module):
    """What unpickling it does is seen."""

    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("import pathlib; pathlib.Path('ran').touch()",)


def test_nothing_in_a_file_that_is_no_program_is_run(
    facts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Stranger()}, tmp_path / "given.pth")

    with pytest.raises(ModelError, match="pickled module"):
        load_program(tmp_path / "given.pth", facts)

    assert not (tmp_path / "ran").exists()


def test_a_network_with_a_nan_weight_is_refused(facts: Path, recording: Path, tmp_path: Path) -> None:
    network = SmallNetwork()
    with torch.no_grad():
        next(network.pose[2].parameters())[0, 0] = torch.nan
    program = save_program(tmp_path / "nan.pt2", network)

    with pytest.raises(ModelError):
        export_bundle(program, tmp_path / "b", recording, None)

    assert not (tmp_path / "b").exists()


def test_what_the_checker_says_in_several_lines_is_one_sentence(graph: Path) -> None:
    model = onnx.load(graph)
    model.graph.node[0].op_type = "Nope"

    with pytest.raises(ModelError, match=r"No Op registered for Nope.*change the network") as refused:
        check_same_outputs(model, graph)
    assert "\n" not in str(refused.value)


def test_a_graph_that_git_lfs_has_not_fetched_is_said_to_be_one(facts: Path, tmp_path: Path) -> None:
    pointer = tmp_path / "network.onnx"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4269650\n")

    assert "git lfs pull" in refusal(pointer, facts)
