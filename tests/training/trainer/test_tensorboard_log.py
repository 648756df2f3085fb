"""The TensorBoard log of a run, read back: scalars, pictures, and one series over a kill and a resume."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.support.processes import ROOT
from training.network.network import NetworkConfig
from training.samples.sample_cache import CacheConfig
from training.trainer.train import train
from training.trainer.train_config import TrainConfig
from training.trainer.validate import make_validation_set

CONFIG = TrainConfig(
    total_samples=160,
    batch_samples=4,
    warmup_samples=16,
    validation_samples=12,
    validate_every_samples=80,
    checkpoint_every_s=1000,
    network=NetworkConfig(features=8),
    tensorboard=True,
)


def test_a_killed_and_resumed_run_writes_every_step_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed; pip install handmap-edge[tensorboard]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from training.trainer.tensorboard_log import open_log

    cache = CacheConfig(folder=tmp_path / "cache", shard_samples=32, window_shards=2)
    config = msgspec.structs.replace(CONFIG, cache=cache, out=tmp_path / "run")
    train(msgspec.structs.replace(config, total_samples=80))
    with open_log(
        config.out, make_validation_set(config), 80
    ) as lost:  # by a process that was killed before its checkpoint
        lost.note_losses(120, {"pose": 7.0}, 7.0)
        lost.note_losses(160, {"pose": 7.0}, 7.0)

    train(config)

    log = EventAccumulator(str(config.out)).Reload()
    assert {tag: [event.step for event in log.Scalars(tag)] for tag in log.Tags()["scalars"]} == {
        "loss/pose": [80, 160],
        "loss/maps": [80, 160],
        "learning_rate": [80, 160],
        "validation/mean_mm": [80, 160],
        "validation/median_mm": [80, 160],
    }
    last = json.loads((config.out / "history.jsonl").read_text().splitlines()[-1])
    assert log.Scalars("validation/mean_mm")[-1].value == pytest.approx(last["mean_mm"], abs=1e-3)
    assert max(event.value for event in log.Scalars("loss/pose")) < 7
    assert log.Scalars("learning_rate")[-1].value == pytest.approx(last["learning_rate"])
    pictures = log.Images("validation/hands")
    assert [picture.step for picture in pictures] == [80, 160]
    assert (pictures[0].width, pictures[0].height) == (2 * 512, 3 * 256)  # six hands, each with its maps


def test_without_tensorboard_one_sentence_says_what_to_install(tmp_path: Path) -> None:
    cache = CacheConfig(folder=tmp_path / "cache", shard_samples=32, window_shards=2)
    config = msgspec.structs.replace(CONFIG, cache=cache, out=tmp_path / "run")
    (tmp_path / "c.yaml").write_bytes(msgspec.yaml.encode(config, enc_hook=str))
    script = "import sys; sys.modules['tensorboard'] = None; import training.__main__ as main; main.main()"

    done = subprocess.run(
        [sys.executable, "-c", script, "--config", str(tmp_path / "c.yaml")],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 78
    assert done.stderr.splitlines()[-1] == (
        "training: training with tensorboard: true: the package tensorboard is not installed; "
        "pip install handmap-edge[tensorboard], or remove the setting"
    )
