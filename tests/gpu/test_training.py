"""Training on a card: crops and maps made there are those made on the CPU, and a short run from start to end."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from handmap.types.errors import ConfigError
from training.samples.augment import AugmentConfig, draw_warps
from training.synthesis.synthetic import render_samples

pytestmark = pytest.mark.gpu
COUNT = 64
CLOSE = 1e-5
MAX_DIFFERING = 2e-5  # of all pixels: places are rounded in float32, and a GPU fuses multiplication and addition


def test_a_batch_matches_the_cpu_for_the_same_warps(torch: ModuleType) -> None:
    from tests.training.host_warps import move_warps
    from training.network.device_guidance import make_device_maps, reduce_on_device
    from training.samples.device_augment import DeviceSamples, PackedPool, augment_on_device
    from training.samples.drawing import CELLS, pack_canvas

    drawn = render_samples(3_000_000, COUNT)
    packed = torch.from_numpy(pack_canvas(drawn.canvas, drawn.is_hand).reshape(COUNT, CELLS))
    warps = draw_warps(AugmentConfig(depth_noise_mm=0), (3, 1), np.arange(COUNT))

    def crops(name: str) -> DeviceSamples:
        device = torch.device(name)
        pool = PackedPool(packed.to(device), torch.from_numpy(drawn.joints_mm).to(device))
        rows = torch.arange(COUNT, device=device)
        return augment_on_device(pool, rows, move_warps(warps, device), 250.0, torch.Generator(device))

    wanted, found = crops("cpu"), crops("cuda")

    assert ((found.depth.cpu() - wanted.depth).abs() > CLOSE).float().mean() <= MAX_DIFFERING
    assert (found.is_hand.cpu() != wanted.is_hand).float().mean() <= MAX_DIFFERING
    np.testing.assert_allclose(found.joints.cpu(), wanted.joints, atol=CLOSE)
    maps = [
        make_device_maps(
            "edt2m", reduce_on_device(wanted.depth.to(name), wanted.is_hand.to(name)), wanted.joints.to(name)
        )
        for name in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(maps[1].cpu(), maps[0], atol=CLOSE)


def test_a_run_learns_and_goes_on_after_its_end(torch: ModuleType, tmp_path: Path) -> None:
    import json

    import msgspec

    from training.network.network import NetworkConfig
    from training.trainer.checkpoint import LAST, read_checkpoint
    from training.trainer.train import train
    from training.trainer.train_config import PoolConfig, TrainConfig

    config = TrainConfig(
        total_samples=25_600, out=tmp_path, stream="pool", device="cuda", batch_samples=64, warmup_samples=640,
        validation_samples=64, validate_every_samples=3200, network=NetworkConfig(features=16),
        pool=PoolConfig(drawers=2, samples=1024),
    )  # fmt: skip
    program = train(config)
    first = read_checkpoint(tmp_path / LAST)

    train(msgspec.structs.replace(config, total_samples=32_000))

    assert program.exists()
    errors = [json.loads(line)["mean_mm"] for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert len(errors) == 10 and errors[-1] < 0.9 * errors[0]
    assert read_checkpoint(tmp_path / LAST).step > first.step


def test_a_pool_larger_than_gpu_memory_is_rejected(torch: ModuleType) -> None:
    from training.trainer.pool_stream import CanvasPool

    with pytest.raises(ConfigError, match=r"lower pool\.samples"):
        CanvasPool(10_000_000, torch.device("cuda", 0))
