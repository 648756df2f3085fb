"""The palm engine beside the hand engine on TensorRT: its key, its place in the cache, its answers, and its check."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from handmap.bundle.golden import read_golden
from handmap.bundle.manifest import read_bundle
from handmap.bundle.tensors import Tensor, Tensors
from handmap.engines.cache import SIDECAR_FILE, Sidecar, WantedEngine, find_engine, palm_beside
from handmap.engines.device_engine import DeviceEngine
from handmap.engines.engine_keys import BuilderOptions, engine_key
from handmap.engines.factory import EngineConfig, open_engines, palm_precision
from handmap.engines.gpu_engine import GpuPalmEngine
from handmap.engines.palm_check import TOLERANCE, check_palm, palm_difference
from handmap.types.arrays import Array, Float32
from handmap.types.errors import BundleError, EngineFailed, EngineUnusable
from tests.support.numpy_gpu import NumpyPlan, numpy_gpu
from tests.support.processes import ROOT
from tests.support.stored_engines import ORIN, store

SHIPPED = read_bundle(ROOT / "models/handmap-hand21")
PALM = Tensors((Tensor("depth_small", "float32", (1, 1, 96, 128)),), (Tensor("palms", "float32", (1, 3, 24, 32)),))


class ShiftedPalm:
    """The shipped palm engine in FP32, with its outputs shifted."""

    def __init__(self, shift: float) -> None:
        self.precision, self.shift = "fp32", np.float32(shift)
        engines = open_engines(SHIPPED, EngineConfig())
        assert engines.palm is not None
        self.tensors, self._palm = engines.palm.tensors, engines.palm

    def infer(self, depth_small: Array) -> Float32:
        answer: Float32 = self._palm.infer(depth_small) + self.shift
        return answer

    def close(self) -> None:
        self._palm.close()


class MaximaPlan(NumpyPlan):
    """A palm network of a kind: each cell of each map is the largest value of its block."""

    def __init__(self) -> None:
        super().__init__(PALM)

    def compute(self) -> None:
        blocks = self.buffers["depth_small"].values.reshape(24, 4, 32, 4)
        self.buffers["palms"].values[...] = blocks.max(axis=(1, 3))


def wanted_hand(cache_dir: Path, batch: int = 2) -> WantedEngine:
    key = engine_key(SHIPPED, "fp16", batch, ORIN, BuilderOptions())
    return WantedEngine(cache_dir, SHIPPED.path, "fp16", key)


def test_both_engines_are_stored_beside_each_other_and_found(tmp_path: Path) -> None:
    hand = wanted_hand(tmp_path)
    palm = palm_beside(hand, SHIPPED, "fp32")
    store(hand)
    with pytest.raises(EngineUnusable, match=r"fp32 palm engine of bundle .* there is none for this graph") as refused:
        find_engine(palm)
    assert "--precision fp16 --batch 2" in str(refused.value)  # the command builds both

    store(palm)

    assert find_engine(palm).path.name == "palm.engine"
    assert find_engine(hand).path.name == "hand.engine"
    assert palm.key.batch == 1 and palm.folder != hand.folder


def test_a_palm_engine_serves_hand_engines_of_every_batch(tmp_path: Path) -> None:
    assert {palm_beside(wanted_hand(tmp_path, batch), SHIPPED, "fp16").folder for batch in (1, 2)} == {
        palm_beside(wanted_hand(tmp_path), SHIPPED, "fp16").folder
    }


def test_a_sidecar_from_before_palm_engines_is_still_read(tmp_path: Path) -> None:
    hand = wanted_hand(tmp_path)
    path = store(hand) / SIDECAR_FILE
    old = msgspec.to_builtins(msgspec.json.decode(path.read_bytes(), type=Sidecar)) | {"format": 1}
    del old["graph"]
    path.write_bytes(msgspec.json.encode(old))

    assert find_engine(hand).sidecar.graph == "hand"


def test_the_palm_graph_has_the_precision_of_the_hand_graph_where_it_may() -> None:
    assert [palm_precision(SHIPPED, name) for name in ("fp32", "fp16", "int8")] == ["fp32", "fp16", "int8"]


def test_the_answer_of_a_device_engine_is_that_of_its_one_picture() -> None:
    engine = GpuPalmEngine(DeviceEngine(MaximaPlan(), numpy_gpu(), "fp16", "palm"))
    picture = np.random.default_rng(1).uniform(0, 1.5, (96, 128)).astype(np.float32)

    answer = engine.infer(picture)

    assert answer.shape == (3, 24, 32) and (engine.precision, engine.tensors) == ("fp16", PALM)
    np.testing.assert_array_equal(answer[2], picture.reshape(24, 4, 32, 4).max(axis=(1, 3)))
    engine.close()
    with pytest.raises(EngineFailed, match="palm engine: used after it was closed"):
        engine.infer(picture)


def test_a_device_error_names_the_palm_engine() -> None:
    plan = MaximaPlan()
    engine = GpuPalmEngine(DeviceEngine(plan, numpy_gpu(refuses_graphs=True), "fp16", "palm"))
    plan.fails_with = RuntimeError("cudaErrorIllegalAddress")

    with pytest.raises(EngineFailed, match=r"palm engine: inference on input .* cudaErrorIllegalAddress"):
        engine.infer(np.zeros((96, 128), np.float32))


@pytest.mark.parametrize("precision", SHIPPED.palm.precisions if SHIPPED.palm else ())
def test_the_shipped_palm_graphs_are_well_within_their_tolerance(precision: str) -> None:
    with open_engines(SHIPPED, EngineConfig(precision=precision, use_ungated_int8=True)) as engines:  # type: ignore[arg-type]  # the manifest's names
        assert engines.palm is not None
        assert palm_difference(engines.palm, read_golden(SHIPPED), SHIPPED) <= TOLERANCE[precision] / 2


@pytest.mark.parametrize("shift", [0.02, -0.02, np.nan, np.inf])
def test_an_engine_that_computes_something_else_is_refused(shift: float) -> None:
    with pytest.raises(BundleError, match="outputs of the fp32 palm engine are up to"):
        check_palm(ShiftedPalm(shift), read_golden(SHIPPED), SHIPPED)
