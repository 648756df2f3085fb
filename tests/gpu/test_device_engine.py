"""The engine about a plan on a card, without TensorRT: CuPy is the network. Buffers, streams, graphs, the crop before it."""

from typing import Any

import numpy as np
import pytest

from handmap.bundle.tensors import Tensor, Tensors
from handmap.engines import gpu
from handmap.engines.device_engine import DeviceEngine
from handmap.engines.engine import CroppingEngine
from handmap.engines.gpu_engine import GpuHandEngine
from handmap.types.arrays import Array
from handmap.types.errors import DependencyError, EngineFailed
from handmap.types.values import CROP_PX
from tests.gpu.parity import ALLOWED, numpy_crops
from tests.gpu.replays import BATCH, MAX_GROWTH_BYTES, move_hands, random_depth, replay_growth_bytes, use_fused_crop
from tests.support.depth_frames import Scene, two_hands

TENSORS = Tensors(
    (Tensor("depth", "float32", (BATCH, 1, CROP_PX, CROP_PX)),),
    (Tensor("joints", "float32", (BATCH, 21, 3)), Tensor("guidance", "float32", (BATCH, 21, 32, 32))),
)
LAUNCHES = 100_000
try:
    gpu.open_gpu()
    MISSING = ""
except DependencyError as error:
    MISSING = str(error)

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(MISSING), reason=MISSING)]


class DoublingPlan:
    """joints are twice a corner of the depth image, guidance is that corner plus one; elementwise, so nothing is allocated."""

    tensors = TENSORS

    def __init__(self) -> None:
        self._buffers: dict[str, Array] = {}

    def bind(self, buffers: dict[str, Array]) -> None:
        self._buffers = dict(buffers)

    def execute(self, stream: Any) -> None:
        cupy, depth = gpu.open_gpu(), self._buffers["depth"]
        with stream:
            cupy.multiply(depth[:, 0, :21, :3], np.float32(2), out=self._buffers["joints"])
            cupy.add(depth[:, :, :32, :32], np.float32(1), out=self._buffers["guidance"])

    def pop_log(self) -> str:
        return ""


@pytest.fixture
def engine() -> DeviceEngine:
    return DeviceEngine(DoublingPlan(), gpu, "fp16")


@pytest.mark.parametrize("is_on_device", [False, True])
def test_each_output_belongs_to_its_own_input(engine: DeviceEngine, is_on_device: bool) -> None:
    assert engine.is_graph
    for seed in range(20):
        depth = random_depth(seed)

        answer = engine.infer(gpu.open_gpu().asarray(depth) if is_on_device else depth)

        assert answer.guidance is not None and type(answer.joints) is np.ndarray
        np.testing.assert_array_equal(answer.joints, depth[:, 0, :21, :3] * 2)
        np.testing.assert_array_equal(answer.guidance, np.broadcast_to(depth[:, :, :32, :32] + 1, (BATCH, 21, 32, 32)))


def test_it_waits_for_an_input_from_another_stream(engine: DeviceEngine) -> None:
    cupy = gpu.open_gpu()
    matrix = cupy.ones((2048, 2048), np.float32)
    cupy.matmul(matrix, matrix)
    with cupy.cuda.Stream(non_blocking=True) as busy:
        for wanted in range(1, 6):
            for _ in range(20):
                matrix = cupy.matmul(matrix, matrix) / 2048  # stays 1
            depth = cupy.full(engine.input_buffer.shape, wanted, np.float32) * matrix[0, 0]
            joints = engine.infer(depth).joints
            np.testing.assert_allclose(joints, 2 * wanted, rtol=1e-5)
        busy.synchronize()


def test_crop_and_inference_in_one_graph_match_separate_runs(engine: DeviceEngine) -> None:
    eager = DeviceEngine(DoublingPlan(), gpu, "fp16")
    crops = [use_fused_crop(engine, is_eager=False), use_fused_crop(eager, is_eager=True)]
    for wanted in move_hands(crops):
        graph, apart = engine.replay(), eager.replay()

        assert engine.is_graph and not eager.is_graph
        np.testing.assert_array_equal(graph.joints, apart.joints)
        found = engine.input_buffer.get()[:, 0]
        assert (found != wanted).mean() <= ALLOWED
        np.testing.assert_array_equal(graph.joints, found[:, :21, :3] * 2)


def test_a_view_less_is_background_again(engine: DeviceEngine) -> None:
    crop = use_fused_crop(engine, is_eager=False)
    scene = two_hands()
    crop.set_frame(scene.frame)
    crop.set_rois(scene.rois)
    engine.replay()

    crop.set_rois(scene.rois[:1])

    assert (engine.replay().joints[1] == 2).all()
    assert (engine.input_buffer.get()[1] == 1).all()


def test_non_finite_output_is_rejected(engine: DeviceEngine) -> None:
    depth = random_depth(1)
    depth[1, 0, 3, 1] = np.nan

    with pytest.raises(EngineFailed, match="not finite"):
        engine.infer(depth)


@pytest.mark.parametrize("is_eager", [False, True])
def test_launches_keep_no_memory(engine: DeviceEngine, is_eager: bool) -> None:
    crop = use_fused_crop(engine, is_eager)

    growth = replay_growth_bytes(engine, crop, LAUNCHES // 10 if is_eager else LAUNCHES)

    assert max(growth) <= MAX_GROWTH_BYTES, growth


def test_engines_that_are_closed_give_their_memory_back() -> None:
    cupy = gpu.open_gpu()
    DeviceEngine(DoublingPlan(), gpu, "fp16").close()
    before = cupy.get_default_memory_pool().used_bytes()

    for _ in range(20):
        DeviceEngine(DoublingPlan(), gpu, "fp16").close()

    assert cupy.get_default_memory_pool().used_bytes() <= before


def test_frames_and_views_go_in_and_joints_come_out() -> None:
    device = DeviceEngine(DoublingPlan(), gpu, "fp16")
    engine = GpuHandEngine(device, gpu.FusedCrop(BATCH, out=device.input_buffer))
    assert isinstance(engine, CroppingEngine)
    for distance_mm in (300.0, 420.0):
        scene = two_hands(distance_mm)
        for rois in (scene.rois, scene.rois[:1], scene.rois[::-1]):
            output, filled = engine.infer_rois(scene.frame, rois)

            depth = numpy_crops(Scene(scene.frame, rois))
            assert (output.joints[: len(rois)] != depth[:, :21, :3] * 2).mean() <= ALLOWED
            assert filled.tolist() == [*(depth < 1).sum(axis=(1, 2)), *[0] * (BATCH - len(rois))]
    engine.close()
