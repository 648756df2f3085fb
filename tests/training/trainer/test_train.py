"""Training end to end on a tiny budget: exact resumption after a kill, several processes, and what is refused."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from handmap.system.config import read_config
from handmap.types.errors import ConfigError, DatasetError, ModelError
from tests.training.checkpoints import assert_same_run
from tests.training.torchrun import TWO_PROCESSES
from training.network.network import HandMap, NetworkConfig
from training.samples.sample_cache import CacheConfig, read_hands, shard_path, write_shard
from training.synthesis.synthesize import write_recording
from training.synthesis.synthetic import render_samples
from training.trainer.checkpoint import BEST, LAST, read_checkpoint, read_weights
from training.trainer.optimize import Trainee, learning_rate_at
from training.trainer.sample_stream import SampleStream, Share
from training.trainer.streams import open_mix
from training.trainer.train import train
from training.trainer.train_config import TrainConfig

ROOT = Path(__file__).resolve().parents[3]
MAX_WAIT_S = 300  # a run that hangs ends the test; a slow machine does not
SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
if __name__ == "__main__":
    import msgspec
    from training.trainer.train import train
    from training.trainer.train_config import TrainConfig
    text = Path(sys.argv[1]).read_text()
    train(msgspec.json.decode(text, type=TrainConfig, dec_hook=lambda kind, value: kind(value)))
"""


@pytest.fixture(scope="module")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests of this file: they render the same seeds."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def config(tmp_path: Path, cache_folder: Path) -> TrainConfig:
    return TrainConfig(
        total_samples=384,
        out=tmp_path / "run",
        batch_samples=16,
        warmup_samples=64,
        validation_samples=32,
        validate_every_samples=192,
        checkpoint_every_s=0,
        network=NetworkConfig(features=16),
        cache=CacheConfig(folder=cache_folder, shard_samples=64, window_shards=2),
    )


def start(config: TrainConfig, tmp_path: Path, *launcher: str) -> subprocess.Popen[str]:
    """A training process of its own."""
    script, settings = tmp_path / "go.py", tmp_path / "config.json"
    script.write_text(SCRIPT.format(root=str(ROOT)))
    settings.write_bytes(msgspec.json.encode(config, enc_hook=str))
    return subprocess.Popen([sys.executable, *launcher, str(script), str(settings)], stderr=subprocess.PIPE, text=True)


def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(config: TrainConfig, tmp_path: Path) -> None:
    straight = msgspec.structs.replace(config, out=tmp_path / "straight")
    train(straight)

    process = start(config, tmp_path)
    deadline_s = time.monotonic() + MAX_WAIT_S
    while not (config.out / LAST).exists():
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed_at = read_checkpoint(config.out / LAST).step
    program = train(config)

    assert 0 < killed_at < config.steps
    assert program.exists()
    assert_same_run(straight.out, config.out)


def test_two_processes_under_torchrun_share_a_batch(config: TrainConfig, tmp_path: Path) -> None:
    config = msgspec.structs.replace(config, total_samples=160)

    process = start(config, tmp_path, *TWO_PROCESSES)
    _, errors = process.communicate(timeout=MAX_WAIT_S)

    assert process.returncode == 0, errors
    assert read_checkpoint(config.out / LAST).samples == 160
    assert (config.out / "handmap.pt2").exists()


def test_an_ended_run_is_extended_by_a_larger_budget(config: TrainConfig) -> None:
    short = msgspec.structs.replace(config, total_samples=96)
    train(short)

    train(msgspec.structs.replace(short, total_samples=160))

    history = [json.loads(line) for line in (config.out / "history.jsonl").read_text().splitlines()]
    assert [fact["samples"] for fact in history] == [96, 160]
    assert learning_rate_at(96, short) < learning_rate_at(96, msgspec.structs.replace(short, total_samples=160))


@pytest.mark.parametrize("bone_weight", [0.0, 1.0])
@pytest.mark.parametrize("head", ["votes", "fully_connected"])
def test_a_sample_without_a_hand_teaches_the_maps_and_not_the_pose(head: str, bone_weight: float) -> None:
    config = TrainConfig(total_samples=1, bone_weight=bone_weight, network=NetworkConfig(features=16, head=head))
    trainee = Trainee(HandMap(config.network), config)
    nowhere = torch.full((2, 21, 3), float("nan"))

    losses = trainee(torch.ones(2, 1, 128, 128), nowhere, torch.zeros(2, 21, 32, 32))
    losses.total.backward()

    assert losses.pose == 0 and losses.maps > 0
    gradients = {name: weight.grad for name, weight in trainee.network.named_parameters() if weight.grad is not None}
    assert all(torch.isfinite(gradient).all() for gradient in gradients.values())
    of_head = [gradient for name, gradient in gradients.items() if name.startswith("head.")]
    assert of_head and not any(gradient.any() for gradient in of_head)


def test_a_checkpoint_of_another_run_is_rejected(config: TrainConfig) -> None:
    config = msgspec.structs.replace(config, total_samples=32)
    train(config)

    with pytest.raises(
        ConfigError, match=r"trained with learning_rate = 0\.0015, the configuration says 0\.001; restore"
    ):
        train(msgspec.structs.replace(config, learning_rate=1e-3))


def test_a_run_with_a_loss_on_bones_tells_it_and_goes_on_only_with_it(config: TrainConfig) -> None:
    with_bones = msgspec.structs.replace(config, bone_weight=2.0)
    train(with_bones)

    (*_, last) = [json.loads(line) for line in (config.out / "history.jsonl").read_text().splitlines()]
    assert 0 < last["bones_loss"] < 1
    with pytest.raises(ConfigError, match=r"trained with bone_weight = 2\.0"):
        train(config)


def test_a_damaged_checkpoint_is_rejected(tmp_path: Path) -> None:
    (tmp_path / LAST).write_bytes(b"not a checkpoint")

    with pytest.raises(ModelError, match="cannot be read"):
        read_checkpoint(tmp_path / LAST)


def test_a_batch_size_that_does_not_divide_the_round_is_rejected() -> None:
    with pytest.raises(ValueError, match="expected a divisor of the round"):
        TrainConfig(total_samples=100, batch_samples=40, cache=CacheConfig(shard_samples=64))


@pytest.mark.parametrize(
    "line",
    [
        "learning_rate: .nan",
        "bone_weight: .nan",
        "bone_weight: .inf",
        "bone_weight: -0.1",
        "cube_mm: -1.0",
        "threads: 0",
        "batch_samples: 7",
        "network: {stages: 0}",
        "cache: {limit_gb: .inf}",
    ],
)
def test_an_invalid_setting_is_rejected_by_its_key(tmp_path: Path, line: str) -> None:
    (tmp_path / "c.yaml").write_text(f"total_samples: 64\n{line}\n")

    with pytest.raises(ConfigError, match=line.rpartition("{")[2].split(":")[0]):
        read_config(tmp_path / "c.yaml", TrainConfig)


def test_a_recording_of_unknown_length_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="seconds"):
        write_recording(tmp_path / "r", 1, float("nan"), 30)


def test_shards_hold_what_is_rendered(tmp_path: Path) -> None:
    config = CacheConfig(folder=tmp_path, shard_samples=32)
    write_shard(tmp_path, 2, config)
    rows = torch.tensor([3, 30, 17]).numpy()

    read, drawn = read_hands(tmp_path, 2, rows), render_samples(64, 32)

    assert (read.canvas == drawn.canvas[rows]).all() and (read.is_hand == drawn.is_hand[rows]).all()
    assert np.array_equal(read.joints_mm, drawn.joints_mm[rows], equal_nan=True)


def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)

    with pytest.raises(DatasetError, match="No space left on device; free some disk space"):
        write_shard(tmp_path, 0, CacheConfig(folder=tmp_path, shard_samples=32))

    assert not list(tmp_path.iterdir())


def test_each_hand_is_used_once_a_round_and_shares_do_not_overlap(config: TrainConfig, tmp_path: Path) -> None:
    for shard in range(3):
        write_shard(tmp_path, shard, config.cache)
    mix = open_mix(config)
    streams = [SampleStream(tmp_path, config, Share(rank, 2), lambda: None, mix) for rank in (0, 1)]

    batches = [batch for stream in streams for batch in stream.batches(0, config.round_samples // config.batch_samples)]

    crops = {crop.tobytes() for batch in batches for crop in batch.depth}
    assert len(crops) == config.round_samples
    assert all(batch.depth.shape == (8, 1, 128, 128) for batch in batches)
    assert not shard_path(tmp_path, 3).exists()


def test_the_result_can_be_averaged_with_the_initial_weights(config: TrainConfig, tmp_path: Path) -> None:
    torch.manual_seed(7)
    start = HandMap(config.network)
    torch.save(start.state_dict(), tmp_path / "start.pt")
    config = msgspec.structs.replace(config, total_samples=32, start_from=tmp_path / "start.pt", start_share=0.75)

    train(config)

    written, best = read_weights(config.out / "handmap.pt2"), read_checkpoint(config.out / BEST).average
    name = "stem.0.0.weight"
    torch.testing.assert_close(written[name], 0.75 * start.state_dict()[name] + 0.25 * best[name])


def test_start_share_requires_start_from() -> None:
    with pytest.raises(ValueError, match="expected 0 without start_from"):
        TrainConfig(total_samples=1, start_share=0.5)
