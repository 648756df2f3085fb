"""The training loop of the palm network: samples in, steps, validation; resumes by itself as `train` does."""

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from torch import Tensor

from handmap.files.atomic import refuse_unwritable
from handmap.system.progress import track_progress
from handmap.tracking.palm_detector import INPUT_COLUMNS
from handmap.types.arrays import Bool

from ..network.palm_network import PalmNetwork
from ..samples.labeled_palms import open_labeled_palms
from ..samples.palm_samples import PalmSamples, load_samples
from ..samples.source_mix import SourceMix
from ..seed_domains import SeedDomain
from .checkpoint import BEST, load_weights, read_checkpoint, read_weights
from .palm_program import write_palm_program
from .palm_score import PalmScore, score_palms
from .palm_targets import PalmTargets, make_targets, palm_loss
from .program import describe_start
from .resumable import (
    Learner,
    append_history,
    begin,
    is_due,
    restore,
    settings_besides,
    steps_of,
    take_snapshot,
    take_step,
    write_checkpoints,
)
from .sources import SourceConfig, check_sources, mix_sources, renders
from .train_config import Count, Fraction, NotNegative, Share, Weight

SIZE_RANGE = (0.88, 1.14)  # pictures are scaled by this: hands of other sizes


class PalmTrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A training run of the palm network; what is in RESUME_MUTABLE_KEYS may change before a resume.

    `sources` are those of `handmap train`. A labeled frame says where its hand is, not that there is no other.
    """

    total_samples: Count
    out: Path = Path("runs/palm")
    cache: Path = Path(".cache/palm")
    start_from: Path | None = None
    seed: NotNegative = 1
    rendered: Count = 81_920  # frames to draw samples from
    batch_samples: Count = 64
    learning_rate: Fraction = 2e-3
    weight_decay: Share = 1e-4
    warmup_samples: NotNegative = 10_000
    average_decay: Share = 0.999
    side_weight: Weight = 0.25
    validation_samples: Count = 2048
    validate_every_samples: Count = 64_000
    threads: Count = 1
    sources: tuple[SourceConfig, ...] = ()
    labeled_cache: Path = Path(".cache/labeled")

    def __post_init__(self) -> None:
        check_sources(self.sources)


RESUME_MUTABLE_KEYS = frozenset(
    ("total_samples", "out", "cache", "start_from", "validate_every_samples", "threads", "labeled_cache")
)


class PalmBatch(NamedTuple):
    """pictures (N, 1, 96, 128) float32 and what they should be answered with."""

    pictures: Tensor
    targets: PalmTargets


def make_palm_batch(samples: PalmSamples, random: np.random.Generator, is_whole: Bool | None = None) -> PalmBatch:
    """The samples, half of them mirrored (a left hand becomes a right one), each a little larger or smaller.

    is_whole (N,) is that of `make_targets`.
    """
    pictures = samples.pictures.astype(np.float32)
    hands, is_right = samples.hands.copy(), samples.is_right.copy()
    turned = random.uniform(size=len(samples)) < 0.5
    pictures[turned] = pictures[turned, :, ::-1]
    hands[turned, :, 0] = INPUT_COLUMNS - 1 - hands[turned, :, 0]
    is_right[turned] = ~is_right[turned]
    scale = random.uniform(*SIZE_RANGE, len(samples)).astype(np.float32)
    pictures *= scale[:, None, None]
    hands[..., 2] *= scale[:, None]
    targets = make_targets(hands, is_right, samples.seen_joints, is_whole)
    return PalmBatch(torch.from_numpy(pictures)[:, None], targets)


def train_palm(config: PalmTrainConfig) -> Path:
    """Trains until the budget is spent and writes `palm.pt2` from the best averaged weights. Gives its path."""
    torch.set_num_threads(config.threads)
    refuse_unwritable(config.out / "palm.pt2")
    source = open_source(config)
    validation = load_samples(config.cache, SeedDomain.PALM_VALIDATION, config.validation_samples)
    learner = begin(_first_network(config), config)
    _loop(learner, source, validation, config)
    learner.average.load_state_dict(read_checkpoint(config.out / BEST).average)
    path = config.out / "palm.pt2"
    record = _identity(config) | {
        "total_samples": config.total_samples,
        "start": describe_start(config.start_from),
    }
    write_palm_program(path, learner.average, score_palms(learner.average, validation), record)
    return path


def _first_network(config: PalmTrainConfig) -> PalmNetwork:
    """Seeded weights, or those of another run."""
    torch.manual_seed(config.seed)
    network = PalmNetwork()
    if config.start_from is not None:
        load_weights(network, read_weights(config.start_from), config.start_from)
    return network.to(memory_format=torch.channels_last)  # type: ignore[no-any-return,call-overload]  # torch stubs lack this form


class PalmSource(NamedTuple):
    """Rendered samples, none where the sources leave them out, and the labeled ones that join them in each batch."""

    rendered: PalmSamples | None
    mix: SourceMix[PalmSamples]

    def batch(self, step: int, config: PalmTrainConfig) -> PalmBatch:
        """That of a step, drawn from seed and step alone."""
        random = np.random.default_rng([config.seed, step])
        parts = [one.hands.read(rows) for one, rows in zip(self.mix.sources, self.mix.picks(step), strict=True)]
        is_whole = np.arange(config.batch_samples) < config.batch_samples - sum(map(len, parts))
        if self.rendered is not None:
            rows = np.sort(random.integers(0, len(self.rendered), int(is_whole.sum())))
            parts.insert(0, self.rendered.read(rows))
        joined = PalmSamples(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
        return make_palm_batch(joined, random, is_whole)


def open_source(config: PalmTrainConfig) -> PalmSource:
    """What the sources name, rendered or reduced where that has not been done yet."""
    mix = mix_sources(
        config.sources, lambda data: open_labeled_palms(data, config.labeled_cache), config.batch_samples, config.seed
    )
    if not renders(config.sources):
        return PalmSource(None, mix)
    return PalmSource(load_samples(config.cache, SeedDomain.PALM_TRAINING, config.rendered), mix)


def _identity(config: PalmTrainConfig) -> dict[str, object]:
    """The settings that a resumed run must share with the checkpoint. Runs without sources are what they were before there were any."""
    return settings_besides(config, RESUME_MUTABLE_KEYS | (frozenset() if config.sources else {"sources"}))


def _loop(learner: Learner[PalmNetwork], source: PalmSource, validation: PalmSamples, config: PalmTrainConfig) -> None:
    """Steps from the last checkpoint to the end of the budget; validates and writes checkpoints."""
    identity, note = _identity(config), ""
    state = restore(config.out, learner, identity)
    first = state.step * config.batch_samples
    with track_progress("train palm", config.total_samples, "samples", first) as advance:
        for step in range(state.step, steps_of(config)):
            loss = _loss(learner.network, source.batch(step, config), config)
            take_step(learner, loss, step, config)
            state = state._replace(step=step + 1)
            seen = state.step * config.batch_samples
            if is_due(state.step, config.validate_every_samples, config):
                score = score_palms(learner.average, validation)
                _note(config.out, seen, score)
                is_best = -score.merit < state.best_error
                state = state._replace(best_error=min(state.best_error, -score.merit))
                write_checkpoints(config.out, take_snapshot(learner, state, config, identity), is_best)
                note = f"loss {loss.item():.3f}, {score}"
            advance(seen, note)


def _loss(network: PalmNetwork, batch: PalmBatch, config: PalmTrainConfig) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        palms = network(batch.pictures)["palms"]
    return palm_loss(palms.float(), batch.targets, config.side_weight)


def _note(out: Path, samples: int, score: PalmScore) -> None:
    append_history(out, {"samples": samples, **score._asdict()})
