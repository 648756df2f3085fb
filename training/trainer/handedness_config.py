"""The configuration of a run of `handmap train-handedness`."""

from pathlib import Path
from typing import Annotated

import msgspec

from ..samples.augment import AugmentConfig
from ..samples.sample_cache import CacheConfig
from .train_config import Count, Fraction, NotNegative, Share

SHARDS_A_BATCH = 4


class HandednessTrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A training run of the side branch on shards 1 to `shards` of the hand network's cache; shard 0 is kept for validation."""

    total_samples: Count
    trunk: Path  # the trained hand network: a program (.pt2)
    out: Path = Path("runs/side")
    start_from: Path | None = None
    seed: NotNegative = 1
    shards: Count = 16
    batch_samples: Annotated[int, msgspec.Meta(ge=SHARDS_A_BATCH)] = 64
    learning_rate: Fraction = 2e-3
    weight_decay: Share = 1e-4
    warmup_samples: NotNegative = 5_000
    average_decay: Share = 0.998
    cube_mm: float = 250.0
    validation_samples: Count = 2048  # that the odds of a hand are fitted on
    checkpoint_every_samples: Count = 32_000
    threads: Count = 1
    augment: AugmentConfig = AugmentConfig()
    cache: CacheConfig = CacheConfig()


RESUME_MUTABLE_KEYS = frozenset(
    ("total_samples", "out", "start_from", "trunk", "checkpoint_every_samples", "threads", "cache")
)
