"""Opening a TensorRT engine: what is missing is named, and TensorRT's refusals include its own log.

No engine runs here: tests/gpu builds and runs them on a card. NVIDIA's own bindings are used where a library is needed; where
a live plan would be, a stand-in behaves as TensorRT documents, and the drift test checks every name against NVIDIA's bindings.
"""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from handmap.bundle.tensors import Tensor, Tensors
from handmap.engines.cuda_driver import read_device_facts
from handmap.engines.tensorrt_engine import (
    TensorrtPlan,
    deserialize,
    dtype_name,
    load_tensorrt,
    open_tensorrt_engine,
    refuse_other_tensors,
)
from handmap.types.errors import DependencyError, EngineFailed, ModelError
from handmap.types.values import CROP_PX

FILE = Path("hand.engine")
DEPTH = Tensor("depth", "float32", (2, 1, CROP_PX, CROP_PX))
JOINTS = Tensor("joints", "float32", (2, 21, 3))
GUIDANCE = Tensor("guidance", "float32", (2, 21, 32, 32))


def has_driver() -> bool:
    try:
        read_device_facts()
    except DependencyError:
        return False
    return True


@pytest.fixture
def rtx() -> ModuleType:
    module: ModuleType = pytest.importorskip("tensorrt_rtx", reason="needs NVIDIA's tensorrt_rtx wheel")
    return module


class Context:
    """An execution context: accepts the batch it was built for, and knows all shapes once that is set."""

    def __init__(self, built_batch: int) -> None:
        self.built_batch = built_batch
        self.batch = -1
        self.addresses: dict[str, int] = {}
        self.executes = True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert name == "depth"
        if shape[0] != self.built_batch:
            return False
        self.batch = shape[0]
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (self.batch, *next(tensor.shape[1:] for tensor in (DEPTH, GUIDANCE, JOINTS) if tensor.name == name))  # type: ignore[arg-type]  # numbers all

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return address != 0

    def execute_async_v3(self, stream: int) -> bool:
        return self.executes


def library(rtx: ModuleType, context: Context | None, types: dict[str, str] | None = None) -> ModuleType:
    """NVIDIA's bindings with a runtime that holds one plan, of symbolic batch; `types` changes names of data types."""
    names = ["depth", "guidance", "joints"]

    class Plan:
        num_io_tensors = len(names)

        def create_execution_context(self) -> Context | None:
            return context

        def get_tensor_name(self, index: int) -> str:
            return names[index]

        def get_tensor_mode(self, name: str) -> Any:
            return rtx.TensorIOMode.INPUT if name == "depth" else rtx.TensorIOMode.OUTPUT

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return Context(0).get_tensor_shape(name)

        def get_tensor_dtype(self, name: str) -> Any:
            return getattr(rtx.DataType, (types or {}).get(name, "FLOAT"))

    class Runtime:
        def __init__(self, log: Any) -> None:
            assert isinstance(log, rtx.ILogger)

        def deserialize_cuda_engine(self, content: bytes) -> Plan:
            return Plan()

    module = ModuleType("tensorrt_stand_in")
    vars(module).update(vars(rtx))
    vars(module).update(Runtime=Runtime, __version__="10.3.0")
    return module


@pytest.fixture
def engine_file(tmp_path: Path) -> Path:
    path = tmp_path / "hand.engine"
    path.write_bytes(b"a plan")
    return path


@pytest.mark.skipif(has_driver(), reason="needs a machine without NVIDIA's driver")
def test_without_a_driver_nothing_is_opened(rtx: ModuleType) -> None:
    with pytest.raises(DependencyError, match="CUDA driver cannot be loaded"):
        open_tensorrt_engine(Path("absent.engine"), 2, "fp16", rtx)


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="needs a machine without TensorRT")
def test_without_tensorrt_the_package_and_the_environment_are_named() -> None:
    with pytest.raises(DependencyError, match=r"no TensorRT .*python3-libnvinfer.*--system-site-packages"):
        load_tensorrt()


@pytest.mark.skipif(has_driver(), reason="the messages differ with a driver; tests/gpu does this on a GPU")
@pytest.mark.parametrize("content", [b"", b"no plan at all", b"vtrt" + bytes(60)])
def test_an_invalid_plan_is_refused_with_tensorrts_own_log(rtx: ModuleType, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hand.engine"
    path.write_bytes(content)

    with pytest.raises(EngineFailed) as caught:
        deserialize(rtx, path)

    assert f"cannot load its {len(content)} bytes (TensorRT: ERROR: " in str(caught.value)
    assert str(path) in str(caught.value) and "handmap build-engine" in str(caught.value)


def test_a_file_that_cannot_be_read_is_one_sentence(rtx: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match=r"it cannot be opened \(.*No such file"):
        deserialize(rtx, tmp_path / "absent.engine")


def test_a_failed_runtime_is_one_sentence(rtx: ModuleType, engine_file: Path) -> None:
    """As the bindings behave over a libnvinfer that gives no runtime."""
    module = library(rtx, Context(2))

    def refuse(log: object) -> None:
        raise TypeError("pybind11::init(): factory function returned nullptr")

    vars(module).update(Runtime=refuse)

    with pytest.raises(EngineFailed, match=r"it cannot be opened \(pybind11"):
        deserialize(module, engine_file)


def test_a_plan_of_symbolic_batch_is_fixed_to_one(rtx: ModuleType, engine_file: Path) -> None:
    plan = TensorrtPlan(library(rtx, Context(2)), engine_file, 2)

    assert plan.tensors == Tensors((DEPTH,), (GUIDANCE, JOINTS))


def test_a_batch_it_was_not_built_for_is_refused(rtx: ModuleType, engine_file: Path) -> None:
    with pytest.raises(ModelError, match=r"does not take batch 3.*build-engine --batch 3"):
        TensorrtPlan(library(rtx, Context(2)), engine_file, 3)


def test_an_output_in_half_precision_is_refused(rtx: ModuleType, engine_file: Path) -> None:
    with pytest.raises(ModelError, match=r"joints float16 \(2, 21, 3\)"):
        TensorrtPlan(library(rtx, Context(2), {"joints": "HALF"}), engine_file, 2)


def test_a_plan_without_a_context_is_refused(rtx: ModuleType, engine_file: Path) -> None:
    with pytest.raises(EngineFailed, match="made no execution context"):
        TensorrtPlan(library(rtx, None), engine_file, 2)


def test_context_failures_are_typed(rtx: ModuleType, engine_file: Path) -> None:
    context = Context(2)
    plan = TensorrtPlan(library(rtx, context), engine_file, 2)

    plan.bind({"depth": buffer_at(4096)})
    assert context.addresses == {"depth": 4096}
    with pytest.raises(EngineFailed, match="refused the buffer of tensor 'joints'"):
        plan.bind({"joints": buffer_at(0)})
    plan.execute(stream_at(64))
    context.executes = False
    with pytest.raises(EngineFailed, match="enqueued no inference"):
        plan.execute(stream_at(64))


@pytest.mark.parametrize(
    "found",
    [
        Tensors((), (JOINTS,)),
        Tensors((DEPTH,), (GUIDANCE,)),
        Tensors((DEPTH, Tensor("more", "float32", (2, 1))), (JOINTS,)),
        Tensors((Tensor("image", "float32", DEPTH.shape),), (JOINTS,)),
        Tensors((Tensor("depth", "float16", DEPTH.shape),), (JOINTS,)),
        Tensors((DEPTH,), (JOINTS, Tensor("guidance", "float16", GUIDANCE.shape))),
        Tensors((DEPTH,), (Tensor("joints", "float32", (1, 21, 3)),)),
        Tensors((DEPTH,), (Tensor("joints", "float32", ()),)),
    ],
)
def test_tensors_that_violate_the_contract_are_refused(found: Tensors) -> None:
    with pytest.raises(ModelError, match=r"'hand.engine': tensors found .* wanted input 'depth' and output 'joints'"):
        refuse_other_tensors(found, 2, FILE)


@pytest.mark.parametrize("outputs", [(JOINTS,), (JOINTS, GUIDANCE), (GUIDANCE, JOINTS)])
def test_tensors_of_the_contract_are_accepted(outputs: tuple[Tensor, ...]) -> None:
    refuse_other_tensors(Tensors((DEPTH,), outputs), 2, FILE)


def test_data_types_have_numpys_names_and_others_keep_their_own(rtx: ModuleType) -> None:
    names = {name: dtype_name(getattr(rtx.DataType, name)) for name in ("FLOAT", "HALF", "BF16", "INT4")}

    assert names == {"FLOAT": "float32", "HALF": "float16", "BF16": "BF16", "INT4": "INT4"}


def buffer_at(address: int) -> Any:
    class Memory:
        ptr = address

    class Buffer:
        data = Memory

    return Buffer


def stream_at(address: int) -> Any:
    class Stream:
        ptr = address

    return Stream
