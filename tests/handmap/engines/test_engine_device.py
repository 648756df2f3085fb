"""The device engine around a plan: buffers, preprocessing, typed errors. On NumPy; tests/gpu does the same with CuPy on a GPU."""

import numpy as np
import pytest

from handmap.bundle.tensors import Tensor, Tensors
from handmap.engines.device_engine import DeviceEngine
from handmap.types.arrays import Array, Float32
from handmap.types.errors import EngineFailed
from handmap.types.values import CROP_PX
from tests.support.numpy_gpu import DeviceArray, NumpyPlan, Stream, numpy_gpu

BATCH = 2
TENSORS = Tensors(
    (Tensor("depth", "float32", (BATCH, 1, CROP_PX, CROP_PX)),),
    (Tensor("guidance", "float32", (BATCH, 21, 32, 32)), Tensor("joints", "float32", (BATCH, 21, 3))),
)


class DoublingPlan(NumpyPlan):
    """joints are twice a corner of the depth image, guidance is that corner plus one."""

    def __init__(self, tensors: Tensors = TENSORS) -> None:
        super().__init__(tensors)
        self.factor = 2.0

    def pop_log(self) -> str:
        return " (library: it was warm)"

    def compute(self) -> None:
        depth = self.buffers["depth"].values
        self.buffers["joints"].values[...] = depth[:, 0, :21, :3] * np.float32(self.factor)
        if "guidance" in self.buffers:
            self.buffers["guidance"].values[...] = depth[:, :, :32, :32] + 1


def random_depth(seed: int) -> Float32:
    return np.random.default_rng(seed).uniform(-1, 1, (BATCH, 1, CROP_PX, CROP_PX)).astype(np.float32)


def open_engine(plan: DoublingPlan, refuses_graphs: bool = False) -> DeviceEngine:
    return DeviceEngine(plan, numpy_gpu(refuses_graphs), "fp16")


@pytest.mark.parametrize("refuses_graphs", [False, True])
def test_each_output_belongs_to_its_own_input(refuses_graphs: bool) -> None:
    engine = open_engine(DoublingPlan(), refuses_graphs)
    first, second = random_depth(1), random_depth(2)

    answers = [engine.infer(first), engine.infer(second)]

    assert engine.is_graph is not refuses_graphs
    assert (engine.batch, engine.precision, engine.tensors) == (BATCH, "fp16", TENSORS)
    for depth, answer in zip((first, second), answers, strict=True):
        np.testing.assert_array_equal(answer.joints, depth[:, 0, :21, :3] * 2)
        assert answer.guidance is not None
        np.testing.assert_array_equal(answer.guidance, np.broadcast_to(depth[:, :, :32, :32] + 1, (BATCH, 21, 32, 32)))


def test_an_input_on_the_device_is_used_directly() -> None:
    engine = open_engine(DoublingPlan())
    depth = DeviceArray((BATCH, 1, CROP_PX, CROP_PX), np.float32)
    depth.values[...] = random_depth(3)

    answer = engine.infer(depth)

    np.testing.assert_array_equal(answer.joints, depth.values[:, 0, :21, :3] * 2)


def test_a_network_without_maps_returns_none() -> None:
    engine = open_engine(DoublingPlan(Tensors(TENSORS.inputs, TENSORS.outputs[1:])))

    assert engine.infer(random_depth(4)).guidance is None


@pytest.mark.parametrize("refuses_graphs", [False, True])
def test_replay_runs_the_preprocess_step_on_current_data(refuses_graphs: bool) -> None:
    engine = open_engine(DoublingPlan(), refuses_graphs)
    frame = random_depth(5)

    def preprocess(stream: Stream) -> None:
        stream.do(lambda: np.copyto(engine.input_buffer.values, frame))

    engine.set_preprocess(preprocess)
    frame[...] = random_depth(6)

    np.testing.assert_array_equal(engine.replay().joints, frame[:, 0, :21, :3] * 2)
    other = random_depth(7)
    np.testing.assert_array_equal(engine.infer(other).joints, other[:, 0, :21, :3] * 2)
    np.testing.assert_array_equal(engine.replay().joints, frame[:, 0, :21, :3] * 2)


def test_without_a_preprocess_step_replay_uses_the_input_buffer() -> None:
    engine = open_engine(DoublingPlan())

    assert (engine.replay().joints == 2).all()  # background


@pytest.mark.parametrize(
    "depth",
    [
        np.ones((1, 1, CROP_PX, CROP_PX), np.float32),
        np.ones((BATCH, CROP_PX, CROP_PX), np.float32),
        np.ones((BATCH, 1, CROP_PX, CROP_PX), np.float64),
    ],
)
def test_an_input_of_another_shape_or_type_is_refused(depth: Array) -> None:
    engine = open_engine(DoublingPlan())

    with pytest.raises(EngineFailed, match=r"hand engine: input .* wanted \(2, 1, 128, 128\) float32"):
        engine.infer(depth)


@pytest.mark.parametrize("factor", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_by_name(factor: float) -> None:
    plan = DoublingPlan()
    engine = open_engine(plan)
    plan.factor = factor

    with pytest.raises(EngineFailed, match=r"outputs \['joints'\] of the fp16 engine are not finite"):
        engine.infer(random_depth(8))


@pytest.mark.parametrize("kind", [RuntimeError, MemoryError])
def test_device_errors_become_typed_with_the_library_log(kind: type[Exception]) -> None:
    plan = DoublingPlan()
    engine = open_engine(plan)
    plan.fails_with = kind("cudaErrorIllegalAddress")

    with pytest.raises(EngineFailed, match=r"inference on input .* cudaErrorIllegalAddress \(library: it was warm\)"):
        engine.infer(random_depth(9))
    plan.fails_with = None
    assert np.isfinite(engine.infer(random_depth(9)).joints).all()


def test_an_error_in_the_first_run_is_typed_too() -> None:
    plan = DoublingPlan()
    plan.fails_with = RuntimeError("out of memory")

    with pytest.raises(EngineFailed, match="running it once failed: out of memory"):
        open_engine(plan)


def test_a_closed_engine_refuses_work_and_can_be_closed_twice() -> None:
    engine = open_engine(DoublingPlan())

    engine.close()
    engine.close()

    assert not engine.is_graph
    for use in (lambda: engine.infer(random_depth(10)), engine.replay, lambda: engine.set_preprocess(lambda _: None)):
        with pytest.raises(EngineFailed, match="used after it was closed"):
            use()
