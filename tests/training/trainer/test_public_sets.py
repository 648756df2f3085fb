"""A step of training from each public data set alone: its labels teach, and what it does not label stays out of it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from handmap.types.joints import HAND21
from tests.support.public_sets import SETS, write_own
from training.network.network import NetworkConfig
from training.samples.labeled_hands import LabeledHands, open_labeled_hands
from training.samples.named_data import parse_name
from training.samples.sample_cache import CacheConfig
from training.trainer.checkpoint import LAST, read_checkpoint
from training.trainer.sources import SourceConfig
from training.trainer.train import train
from training.trainer.train_config import TrainConfig

MAX_OFF_MM = 3.5  # of joints that ICVL's are computed into; the others are exact


def config_for(data: str, tmp_path: Path) -> TrainConfig:
    place = parse_name(data).which
    shutil.copytree(place, tmp_path / "held_out")
    return TrainConfig(
        total_samples=16,
        out=tmp_path / "run",
        batch_samples=8,
        validation_samples=3,
        network=NetworkConfig(features=8),
        cache=CacheConfig(folder=tmp_path / "rendered", shard_samples=8, window_shards=1),
        sources=(SourceConfig(data),),
        labeled_cache=tmp_path / "labeled",
        validate_on=data.replace(place, str(tmp_path / "held_out")),
    )


def assert_trains(config: TrainConfig) -> LabeledHands:
    """The hands of its only source, after two steps on them."""
    assert train(config).exists()
    checkpoint = read_checkpoint(config.out / LAST)
    history = json.loads((config.out / "history.jsonl").read_text().splitlines()[-1])
    assert checkpoint.samples == 16 and np.isfinite(history["mean_mm"])
    assert not list(config.cache.folder.rglob("shard-*"))
    return open_labeled_hands(config.sources[0].data, config.labeled_cache)


@pytest.mark.parametrize("kind", SETS)
def test_each_set_trains_alone(kind: str, tmp_path: Path) -> None:
    write, known, _ = SETS[kind]
    subject = ",subject=1" if kind == "msra" else ""
    data = (
        f"{kind}:{write(tmp_path / kind)},split=train"
        if kind != "msra"
        else f"{kind}:{write(tmp_path / kind)}{subject}"
    )

    hands = assert_trains(config_for(data, tmp_path))

    mirror = np.array([-1.0 if kind == "icvl" else 1.0, 1, 1])
    for row, one in enumerate(known()):
        is_labeled = hands.weight[row] > 0
        assert (np.isfinite(hands.joints_mm[row]).all(axis=1) == is_labeled).all()
        assert is_labeled.sum() == {"nyu": 18, "icvl": 15, "msra": 21, "hands17": 21}[kind]
        about = (hands.joints_mm[row] - one.joints_mm * mirror)[is_labeled]
        off_mm = np.linalg.norm(about - about.mean(axis=0), axis=1)
        assert off_mm.max() < (MAX_OFF_MM if kind == "icvl" else 0.02)
        assert (hands.weight[row][is_labeled] < 1).all() == (kind == "icvl")  # in doubt, as they are computed


def test_labeled_pngs_train_alone(tmp_path: Path) -> None:
    hands = assert_trains(config_for(str(write_own(tmp_path / "own")), tmp_path))

    assert len(hands) == 2 and hands.joints_mm.shape[1:] == (len(HAND21), 3)
