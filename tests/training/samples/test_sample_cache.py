"""The cache of rendered hands: a renderer that ends is told of, and so is a full disk."""

import errno
import os
import time
from pathlib import Path

import pytest

from handmap.types.errors import DatasetError
from training.samples.sample_cache import CacheConfig, ShardMaker, write_shard


def test_a_killed_renderer_is_reported_in_one_sentence(tmp_path: Path) -> None:
    with ShardMaker(tmp_path, CacheConfig(folder=tmp_path, shard_samples=100_000), 3) as maker:
        maker._process.kill()

        with pytest.raises(DatasetError, match="ended with code -9; start the training again"):
            for _ in range(200):
                maker.check()
                time.sleep(0.05)


def test_a_disk_that_fills_up_is_told_in_a_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", fail)

    with pytest.raises(DatasetError, match="No space left on device; free some disk space"):
        write_shard(tmp_path, 0, CacheConfig(folder=tmp_path, shard_samples=4))

    assert not list(tmp_path.iterdir())
