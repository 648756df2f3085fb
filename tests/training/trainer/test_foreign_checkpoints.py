"""Checkpoints that a run did not write, and damaged samples: one sentence, or drawn again."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from handmap.types.errors import ModelError
from tests.support.bounded import within
from training.samples.sample_cache import CacheConfig, is_whole, shard_path, write_shard
from training.trainer.checkpoint import FORMAT, LAST, load_weights, read_checkpoint, read_weights

WHOLE: dict[str, Any] = {
    "format": FORMAT, "network": {}, "average": {}, "optimiser": {}, "step": 3, "samples": 24, "smoothed": {}, "best_error": 1.0,
    "identity": {},
}  # fmt: skip


def test_the_whole_one_is_read(tmp_path: Path) -> None:
    torch.save(WHOLE, tmp_path / LAST)

    assert read_checkpoint(tmp_path / LAST).step == 3


@pytest.mark.parametrize(
    "content",
    [
        {key: value for key, value in WHOLE.items() if key != "network"}, WHOLE | {"step": "3"}, WHOLE | {"network": [1]},
        WHOLE | {"unknown": 1}, WHOLE | {"format": 1}, {"format": FORMAT}, {"format": [1]}, {}, [], 3, None, {"state_dict": {}},
        {1: 2},
    ],
    ids=range(13),
)  # fmt: skip
def test_a_hand_made_checkpoint_is_a_sentence(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / LAST)

    with pytest.raises(ModelError) as refused:
        read_checkpoint(tmp_path / LAST)

    assert str(tmp_path / LAST) in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("read", [read_checkpoint, read_weights])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02", os.urandom(1000)], ids=range(4))
def test_a_damaged_checkpoint_is_a_sentence(read: Callable[[Path], object], content: bytes, tmp_path: Path) -> None:
    (tmp_path / LAST).write_bytes(content)

    with pytest.raises(ModelError, match="cannot be read"):
        read(tmp_path / LAST)


def test_a_named_pipe_for_a_checkpoint_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / LAST)

    with within(20), pytest.raises(ModelError, match="named pipe"):
        read_checkpoint(tmp_path / LAST)


@pytest.mark.parametrize(
    "weights", [{}, {"weight": torch.zeros(2, 2), "bias": torch.zeros(2)}, {"weight": 3, "bias": 3}]
)
def test_weights_of_another_network_are_a_sentence(weights: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="another network"):
        load_weights(nn.Linear(3, 4), weights, tmp_path / "w.pt")


CONFIG = CacheConfig(shard_samples=2)


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """The folder of a cache with one whole shard."""
    write_shard(tmp_path, 0, CONFIG)
    assert is_whole(tmp_path, 0, 2)
    return tmp_path


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def overwritten(file: Path) -> None:
    file.write_bytes(os.urandom(200))


def of_another_shape(file: Path) -> None:
    np.save(file, np.zeros(3))


@pytest.mark.parametrize("name", ["canvas", "is_hand", "joints_mm"])
@pytest.mark.parametrize("damage", [Path.unlink, emptied, truncated, overwritten, of_another_shape])
def test_a_damaged_shard_is_found(name: str, damage: Callable[[Path], None], shard: Path) -> None:
    damage(shard_path(shard, 0) / f"{name}.npy")

    assert not is_whole(shard, 0, 2)


def test_a_damaged_shard_is_drawn_again_as_it_was(shard: Path) -> None:
    before = np.load(shard_path(shard, 0) / "canvas.npy")
    emptied(shard_path(shard, 0) / "canvas.npy")

    write_shard(shard, 0, CONFIG)

    assert is_whole(shard, 0, 2)
    np.testing.assert_array_equal(np.load(shard_path(shard, 0) / "canvas.npy"), before)
    assert [path.name for path in shard.iterdir()] == ["shard-000000"]
