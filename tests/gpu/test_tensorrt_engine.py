"""TensorRT on a card: the shipped graphs built, run and recorded; crop and inference in one graph; no memory kept."""

from pathlib import Path

import numpy as np
import pytest

from handmap.bundle.golden import read_golden
from handmap.bundle.manifest import Bundle, read_bundle
from handmap.bundle.tensors import fix_batch
from handmap.engines import gpu
from handmap.engines.device_engine import DeviceEngine
from handmap.engines.factory import TOLERANCE_MM, check_golden
from handmap.engines.gpu_engine import GpuPalmEngine
from handmap.engines.palm_check import TOLERANCE, check_palm
from handmap.engines.tensorrt_engine import TensorrtPlan, deserialize, load_tensorrt, open_tensorrt_engine
from handmap.types.errors import DependencyError, EngineFailed, ModelError
from tests.gpu.parity import ALLOWED
from tests.gpu.replays import BATCH, MAX_GROWTH_BYTES, move_hands, random_depth, replay_growth_bytes, use_fused_crop

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "models" / "handmap-hand21"
INFERENCES = 100_000
try:
    gpu.open_gpu()
    load_tensorrt()
    MISSING = ""
except DependencyError as error:
    MISSING = str(error)

pytestmark = [pytest.mark.gpu, pytest.mark.tensorrt, pytest.mark.skipif(bool(MISSING), reason=MISSING)]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(SHIPPED)


@pytest.fixture(scope="module", params=["fp32", "fp16", "int8"])
def precision(request: pytest.FixtureRequest, bundle: Bundle) -> str:
    name = str(request.param)
    if name not in bundle.hand.precisions:
        pytest.skip(f"needs an {name} graph in the shipped bundle")
    return name


@pytest.fixture(scope="module")
def engine_files(precision: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Hand and palm, built by the verb's own code, which has checked their outputs already."""
    from export.engine_request import BuildRequest
    from export.to_engine import build_engine, open_backend

    request = BuildRequest(SHIPPED, precision, BATCH, tmp_path_factory.mktemp(precision), use_ungated_int8=True)
    result = build_engine(request, open_backend("tensorrt"))
    assert result.was_built and not build_engine(request, open_backend("tensorrt")).was_built
    assert result.palm is not None
    return result.engine.path, result.palm.path


@pytest.fixture(scope="module")
def engine_file(engine_files: tuple[Path, Path]) -> Path:
    return engine_files[0]


@pytest.fixture
def engine(engine_file: Path, precision: str) -> DeviceEngine:
    return open_tensorrt_engine(engine_file, BATCH, precision)


def test_a_recorded_engine_matches_the_golden_joints(engine: DeviceEngine, bundle: Bundle) -> None:
    wanted = fix_batch(bundle.hand.tensors, BATCH)

    away_mm = check_golden(engine, read_golden(bundle), bundle)

    assert engine.is_graph
    assert engine.tensors.inputs == wanted.inputs and set(engine.tensors.outputs) == set(wanted.outputs)
    assert away_mm <= TOLERANCE_MM[engine.precision]


def test_a_recorded_palm_engine_matches_its_graph(
    engine_files: tuple[Path, Path], precision: str, bundle: Bundle
) -> None:
    device = open_tensorrt_engine(engine_files[1], 1, precision, graph="palm")

    apart = check_palm(GpuPalmEngine(device), read_golden(bundle), bundle)

    assert device.is_graph
    assert apart <= TOLERANCE[precision]


def test_device_and_host_inputs_give_the_same_result(engine: DeviceEngine) -> None:
    for seed in range(5):
        depth = random_depth(seed)

        host, device = engine.infer(depth), engine.infer(gpu.open_gpu().asarray(depth))

        np.testing.assert_array_equal(host.joints, device.joints)
        assert np.ptp(host.joints) > 0


def test_crop_and_inference_in_one_graph_match_separate_runs(engine: DeviceEngine, engine_file: Path) -> None:
    eager = open_tensorrt_engine(engine_file, BATCH, engine.precision)
    crops = [use_fused_crop(engine, is_eager=False), use_fused_crop(eager, is_eager=True)]
    for wanted in move_hands(crops):
        graph, apart = engine.replay(), eager.replay()

        assert engine.is_graph and not eager.is_graph
        np.testing.assert_array_equal(graph.joints, apart.joints)
        assert (engine.input_buffer.get()[:, 0] != wanted).mean() <= ALLOWED


def test_inferences_keep_no_memory(engine: DeviceEngine) -> None:
    crop = use_fused_crop(engine, is_eager=False)

    growth = replay_growth_bytes(engine, crop, INFERENCES)

    assert max(growth) <= MAX_GROWTH_BYTES, growth


def test_another_batch_size_is_rejected(engine_file: Path) -> None:
    with pytest.raises(ModelError, match="build-engine --batch 3"):
        TensorrtPlan(load_tensorrt(), engine_file, 3)


def test_a_damaged_engine_is_rejected_with_the_tensorrt_log(engine_file: Path, tmp_path: Path) -> None:
    content = engine_file.read_bytes()
    path = tmp_path / "hand.engine"
    for broken in (b"", b"no plan at all", content[: len(content) // 2]):
        path.write_bytes(broken)

        with pytest.raises(EngineFailed, match=r"cannot load its \d+ bytes \(TensorRT: "):
            deserialize(load_tensorrt(), path)
