"""What a training run is: one struct, read from YAML. Lengths in mm; budgets in samples, the same on any machine, or in wall time."""

import math
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from ..network.device_guidance import DEVICE_KINDS
from ..network.network import NetworkConfig
from ..samples.augment import AugmentConfig
from ..samples.sample_cache import CacheConfig
from .budget import parse_duration
from .sources import SourceConfig, check_sources, labeled_of, renders

Count = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[int, msgspec.Meta(ge=0)]
# Upper bounds keep out infinity, which YAML can write.
Weight = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Fraction = Annotated[float, msgspec.Meta(gt=0, le=1)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
CubeMm = Annotated[float, msgspec.Meta(ge=50, le=1000)]
DeviceKind: TypeAlias = Literal["auto", "cpu", "cuda"]
ENDLESS: Final = 2**40  # samples: more than any budget of time allows


class PoolConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many processes draw, 0 for one a core but one, and how many hands lie ready on the device, 51 kB each; of each process."""

    drawers: NotNegative = 0
    samples: Count = 16_384


class TrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A training run. Whatever is in RESUME_MUTABLE_KEYS may be changed between a kill and a resume; the rest is the run's identity.

    Raising `total_samples` of a run that has ended extends it: the cosine is that of the new budget, so the learning rate
    rises again to where the longer schedule has it at this point. `start_from` begins a new run, with a whole new schedule,
    from the averaged weights of another one's checkpoint, or the weights of a trained program (.pt2).

    `budget` is wall time, such as 9m, in the place of `total_samples`: preparation included, time between a kill and a resume
    not. The cosine then runs over it; the warm-up is of samples either way. `stream` cache repeats a run to the bit, pool is fast.

    `sources` are mixed by weight in every batch; none means rendered hands alone. What is cut out of data sets is kept in
    `labeled_cache`. `validate_on` is the data set that chooses the best weights; without it, rendered hands do.

    `tensorboard` writes event files into `out`; it needs the extra of that name.
    """

    total_samples: Count = ENDLESS
    budget: str | None = None
    out: Path = Path("runs/handmap")
    start_from: Path | None = None
    start_share: Share = 0.0  # of the weights that it began with, in those that are written
    seed: NotNegative = 1
    batch_samples: Count = 32
    learning_rate: Fraction = 1.5e-3
    weight_decay: Share = 1e-4
    warmup_samples: NotNegative = 10_000
    average_decay: Share = 0.999
    pose_knee: Fraction = 0.04  # half cube sides; below it the pose loss is quadratic: 5 mm
    map_weight: Weight = 4.0
    bone_weight: Weight = 0.0  # of the loss on bone lengths; 0 is training without it
    cube_mm: CubeMm = 250.0
    validation_samples: Count = 768
    validate_every_samples: Count = 25_600
    checkpoint_every_s: Seconds = 60.0
    device: DeviceKind = "auto"
    stream: Literal["cache", "pool"] = "cache"
    threads: Count = 1
    loader_threads: Count = 1
    network: NetworkConfig = NetworkConfig()
    augment: AugmentConfig = AugmentConfig()
    cache: CacheConfig = CacheConfig()
    pool: PoolConfig = PoolConfig()
    sources: tuple[SourceConfig, ...] = ()
    labeled_cache: Path = Path(".cache/labeled")
    validate_on: str | None = None
    tensorboard: bool = False

    def __post_init__(self) -> None:
        # Read from a file, each sentence names the key behind `at`, and ends in advice; so it has none of its own.
        if (self.total_samples == ENDLESS) != math.isfinite(self.budget_s):
            found = "both" if self.budget else "neither"
            raise ValueError(f"expected either total_samples or budget, found {found} of them")
        if self.start_share and self.start_from is None:
            raise ValueError(
                f"expected 0 without start_from, whose weights it refers to, got {self.start_share} - at `$.start_share`"
            )
        if self.stream == "pool" and (labeled := labeled_of(self.sources)):
            raise ValueError(
                f"expected cache for labeled sources, since pool trains on rendered hands alone, got pool with the source "
                f"{labeled[0].data!r} - at `$.stream`"
            )
        check_sources(self.sources, self.validate_on)
        if self.stream == "pool" and self.network.guidance not in (None, *DEVICE_KINDS):
            raise ValueError(
                f"expected one of {', '.join(DEVICE_KINDS)} with stream pool, or stream cache, got {self.network.guidance!r} "
                "- at `$.network.guidance`"
            )
        if self.stream == "cache" and self.round_samples % self.batch_samples:
            raise ValueError(
                f"expected a divisor of the round of cache.shard_samples x cache.window_shards = {self.round_samples}, such as "
                f"a power of two, got {self.batch_samples} - at `$.batch_samples`"
            )

    @property
    def renders(self) -> bool:
        """Whether rendered hands are among the sources."""
        return renders(self.sources)

    @property
    def round_samples(self) -> int:
        """Samples of one round: every hand of the window once."""
        return self.cache.shard_samples * self.cache.window_shards

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole budget in samples."""
        return -(-self.total_samples // self.batch_samples)

    @property
    def budget_s(self) -> float:
        """The budget of wall time, without end where it is in samples."""
        return math.inf if self.budget is None else parse_duration(self.budget)


# May differ between a checkpoint and the run that resumes it.
RESUME_MUTABLE_KEYS = frozenset(
    (
        "total_samples",
        "budget",
        "out",
        "start_from",
        "start_share",
        "validate_every_samples",
        "checkpoint_every_s",
        "device",
        "threads",
        "loader_threads",
        "cache",
        "pool",
        "labeled_cache",
        "tensorboard",
    )
)


def identity_of(config: TrainConfig) -> dict[str, object]:
    """The settings that a resumed run must share with the checkpoint, as plain values."""
    plain: dict[str, object] = msgspec.to_builtins(config, enc_hook=str)
    # Without these a run is what runs were before there were any, and resumes their checkpoints.
    unset = {name for name in ("bone_weight", "sources", "validate_on") if not getattr(config, name)}
    left_out = RESUME_MUTABLE_KEYS | unset
    window = {"shard_samples": config.cache.shard_samples, "window_shards": config.cache.window_shards}
    return {name: value for name, value in plain.items() if name not in left_out} | window


def length_of(config: TrainConfig) -> dict[str, object]:
    """The budget, by the name under which it was given."""
    return {"total_samples": config.total_samples} if config.budget is None else {"budget": config.budget}
