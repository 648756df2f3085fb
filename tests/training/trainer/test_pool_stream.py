"""The stream of a pool: which hands lie in it, what batches are made of, and runs on it from start to end."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from handmap.system.config import read_config
from handmap.types.errors import ConfigError, DatasetError
from tests.training.torchrun import TWO_PROCESSES
from training.network.network import NetworkConfig
from training.samples.drawing import CELLS, SLOT_SAMPLES, Drawers
from training.trainer.checkpoint import LAST, read_checkpoint
from training.trainer.distributed import join_processes
from training.trainer.pool_stream import CanvasPool, PoolStream
from training.trainer.sample_stream import Share
from training.trainer.train import train
from training.trainer.train_config import PoolConfig, TrainConfig

ROOT = Path(__file__).resolve().parents[3]
CPU = torch.device("cpu")
MAX_WAIT_S = 300
SETTINGS = """
budget: {budget}
out: run
stream: pool
device: cpu
batch_samples: 16
warmup_samples: 64
validation_samples: 16
validate_every_samples: 160
checkpoint_every_s: 0
network: {{features: 16}}
pool: {{drawers: 1, samples: 128}}
"""


def pool_config(**changes: object) -> TrainConfig:
    config = TrainConfig(
        total_samples=1000,
        stream="pool",
        batch_samples=16,
        network=NetworkConfig(features=16),
        pool=PoolConfig(drawers=1, samples=256),
    )
    return msgspec.structs.replace(config, **changes)


@pytest.fixture(scope="module")
def drawers() -> Iterator[Drawers]:
    with Drawers(1, (1, 0, 0)) as running:
        yield running


def start(folder: Path, budget: str, *launcher: str) -> subprocess.Popen[str]:
    """The command of a bare checkout, as a process of its own."""
    (folder / "c.yaml").write_text(SETTINGS.format(budget=budget))
    command = [sys.executable, *launcher, "-m", "training", "--config", str(folder / "c.yaml")]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_newest_hands_take_the_place_of_the_oldest() -> None:
    pool, filled = CanvasPool(3 * SLOT_SAMPLES - 5, CPU), []

    for number in range(5):
        canvas = np.full((SLOT_SAMPLES, CELLS), number, np.int16)
        pool.add(canvas, np.full((SLOT_SAMPLES, 21, 3), number, np.float32))
        filled.append(pool.filled)

    assert filled == [SLOT_SAMPLES * slots for slots in (1, 2, 3, 3, 3)]
    for rows in (pool.hands.canvas[:, 0], pool.hands.joints_mm[:, 20, 2]):
        assert rows[::SLOT_SAMPLES].tolist() == [3, 4, 2]


def test_a_batch_is_what_the_network_learns_from(drawers: Drawers) -> None:
    stream = PoolStream(drawers, pool_config(batch_samples=64), Share(), CPU)

    depth, joints, maps, weight = next(stream.batches(0, 1))

    has_hand = torch.isfinite(joints).all(2).all(1)
    assert weight is None and depth.shape == (64, 1, 128, 128) and joints.shape == (64, 21, 3)
    assert maps is not None and maps.shape == (64, 21, 32, 32)
    assert 0.5 < has_hand.float().mean() < 1
    assert maps[has_hand].amax((2, 3)).mean() > 0.5 and not maps[~has_hand].any()
    assert depth.min() > -1 and depth.max() == 1


def test_processes_share_a_batch_and_no_step_is_like_another(drawers: Drawers) -> None:
    config = pool_config(network=NetworkConfig(features=16, guidance=None))
    streams = [PoolStream(drawers, config, Share(rank, 2), CPU) for rank in (0, 1)]

    batches = [batch for stream in streams for batch in islice(stream.batches(5, 100), 4)]

    assert all(len(batch.depth) == 8 and batch.maps is None for batch in batches)
    assert len({crop.numpy().tobytes() for batch in batches for crop in batch.depth}) >= 60


def test_training_ends_with_a_sentence_when_a_drawer_dies() -> None:
    with Drawers(1, (1, 0, 0)) as dying:
        stream = PoolStream(dying, pool_config(pool=PoolConfig(samples=SLOT_SAMPLES)), Share(), CPU)
        batches = stream.batches(0, 10_000)
        next(batches)
        for process in dying._processes:
            process.kill()

        with pytest.raises(DatasetError, match=r"drawing process 0 of 1 ended with code -9"):
            for _ in batches:
                pass


def test_a_killed_run_uses_what_is_left_of_its_time(tmp_path: Path) -> None:
    process = start(tmp_path, "1h")
    deadline_s = time.monotonic() + MAX_WAIT_S
    while not (tmp_path / "run" / LAST).exists():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed = read_checkpoint(tmp_path / "run" / LAST)
    (tmp_path / "c.yaml").write_text(SETTINGS.format(budget=f"{killed.elapsed_s + 8.1:.1f}s"))

    started_s = time.monotonic()
    program = train(read_config(tmp_path / "c.yaml", TrainConfig))

    ended = read_checkpoint(tmp_path / "run" / LAST)
    assert program.exists() and ended.step > killed.step > 0
    assert ended.elapsed_s >= killed.elapsed_s + 8
    assert time.monotonic() - started_s >= 8
    last = json.loads((tmp_path / "run" / "history.jsonl").read_text().splitlines()[-1])
    assert last["samples"] == ended.samples
    assert last["learning_rate"] <= 1.5e-3 * 0.0101 * 1.001, "the cosine has come to its end"

    train(read_config(tmp_path / "c.yaml", TrainConfig))
    assert read_checkpoint(tmp_path / "run" / LAST).step == ended.step, "nothing is left"


def test_two_processes_under_torchrun_end_at_the_same_step(tmp_path: Path) -> None:
    process = start(tmp_path, "20s", *TWO_PROCESSES)
    _, errors = process.communicate(timeout=MAX_WAIT_S)

    assert process.returncode == 0, errors
    assert read_checkpoint(tmp_path / "run" / LAST).elapsed_s >= 20
    assert (tmp_path / "run" / "handmap.pt2").exists()


def test_an_unsupported_guidance_map_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("total_samples: 64\nstream: pool\nnetwork: {guidance: udir2}\n")

    with pytest.raises(
        ConfigError, match="of dist2, edt2, edt2m with stream pool, or stream cache, got 'udir2'; correct"
    ):
        read_config(tmp_path / "c.yaml", TrainConfig)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_rejected() -> None:
    with pytest.raises(ConfigError, match="torch finds no usable GPU"), join_processes(32, "cuda"):
        pass
