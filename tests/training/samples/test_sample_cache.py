import time
from pathlib import Path

import pytest

from handmap.types.errors import DatasetError
from training.samples.sample_cache import CacheConfig, ShardMaker


def test_a_killed_renderer_is_reported_in_one_sentence(tmp_path: Path) -> None:
    with ShardMaker(tmp_path, CacheConfig(folder=tmp_path, shard_samples=100_000), 3) as maker:
        maker._process.kill()

        with pytest.raises(DatasetError, match="ended with code -9; start the training again"):
            for _ in range(200):
                maker.check()
                time.sleep(0.05)
