"""What a training run is: one struct, read from YAML. Lengths in mm, budgets in samples, so that batch size and machine do not matter."""

from pathlib import Path

import msgspec

from handmap.errors import ConfigError

from .augment import AugmentConfig
from .network import NetworkConfig
from .sample_cache import CacheConfig


class TrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A training run. Whatever is in PACE may be changed between a kill and a resume; the rest is the run's identity.

    Raising `total_samples` of a run that has ended extends it: the cosine is that of the new budget, so the learning rate
    rises again to where the longer schedule has it at this point. `start_from` begins a new run, with a whole new schedule,
    from the averaged weights of another one's checkpoint.
    """

    total_samples: int
    out: Path = Path("runs/handmap")
    start_from: Path | None = None
    seed: int = 1
    batch_samples: int = 32
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-4
    warmup_samples: int = 10_000
    average_decay: float = 0.999
    pose_knee: float = 0.04  # half cube sides; below it the pose loss is quadratic: 5 mm
    map_weight: float = 4.0
    cube_mm: float = 250.0
    validation_samples: int = 768
    validate_every_samples: int = 25_600
    checkpoint_every_s: float = 60.0
    threads: int = 1
    loader_threads: int = 1
    network: NetworkConfig = NetworkConfig()
    augment: AugmentConfig = AugmentConfig()
    cache: CacheConfig = CacheConfig()

    def __post_init__(self) -> None:
        for name in (
            "total_samples",
            "batch_samples",
            "validation_samples",
            "validate_every_samples",
            "threads",
            "loader_threads",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"training configuration: {name} must be at least 1, found {getattr(self, name)}; raise it"
                )
        if self.round_samples % self.batch_samples:
            raise ConfigError(
                f"training configuration: batch_samples must divide the round of cache.shard_samples x cache.window_shards = "
                f"{self.round_samples}, found {self.batch_samples}; take a power of two"
            )

    @property
    def round_samples(self) -> int:
        """Samples of one round: every hand of the window once."""
        return self.cache.shard_samples * self.cache.window_shards

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole budget."""
        return -(-self.total_samples // self.batch_samples)


# May differ between a checkpoint and the run that resumes it.
PACE = frozenset(
    (
        "total_samples",
        "out",
        "start_from",
        "validate_every_samples",
        "checkpoint_every_s",
        "threads",
        "loader_threads",
        "cache",
    )
)


def identity_of(config: TrainConfig) -> dict[str, object]:
    """The settings that a resumed run must share with the checkpoint, as plain values."""
    plain: dict[str, object] = msgspec.to_builtins(config, enc_hook=str)
    window = {"shard_samples": config.cache.shard_samples, "window_shards": config.cache.window_shards}
    return {name: value for name, value in plain.items() if name not in PACE} | window
