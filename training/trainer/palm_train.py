"""The training loop of the palm network: samples from memory, steps, validation; resumes by itself as `train` does."""

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handmap.files.atomic import make_folder, refuse_unwritable
from handmap.system.progress import track_progress
from handmap.tracking.palm_detector import INPUT_COLUMNS

from ..network.palm_network import PalmNetwork
from ..samples.palm_samples import PalmSamples, load_samples
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
from .train_config import Count, Fraction, NotNegative, Share, Weight

SIZE_RANGE = (0.88, 1.14)  # pictures are scaled by this: hands of other sizes


class PalmTrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A training run of the palm network; what is in PACE may change before a resume."""

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


RESUME_MUTABLE_KEYS = frozenset(("total_samples", "out", "cache", "start_from", "validate_every_samples", "threads"))


class PalmBatch(NamedTuple):
    """pictures (N, 1, 96, 128) float32 and what they should be answered with."""

    pictures: Tensor
    targets: PalmTargets


def make_palm_batch(samples: PalmSamples, picked: NDArray[np.int64], random: np.random.Generator) -> PalmBatch:
    """The picked samples, half of them mirrored (a left hand becomes a right one), each a little larger or smaller."""
    pictures = samples.pictures[picked].astype(np.float32)
    hands, is_right = samples.hands[picked].copy(), samples.is_right[picked].copy()
    turned = random.uniform(size=len(picked)) < 0.5
    pictures[turned] = pictures[turned, :, ::-1]
    hands[turned, :, 0] = INPUT_COLUMNS - 1 - hands[turned, :, 0]
    is_right[turned] = ~is_right[turned]
    scale = random.uniform(*SIZE_RANGE, len(picked)).astype(np.float32)
    pictures *= scale[:, None, None]
    hands[..., 2] *= scale[:, None]
    targets = make_targets(hands, is_right, samples.seen_joints[picked])
    return PalmBatch(torch.from_numpy(pictures)[:, None], targets)


def train_palm(config: PalmTrainConfig) -> Path:
    """Trains until the budget is spent and writes `palm.pt2` from the best averaged weights. Gives its path."""
    torch.set_num_threads(config.threads)
    make_folder(config.out)
    refuse_unwritable(config.out / "palm.pt2")
    samples = load_samples(config.cache, SeedDomain.PALM_TRAINING, config.rendered)
    validation = load_samples(config.cache, SeedDomain.PALM_VALIDATION, config.validation_samples)
    learner = begin(_first_network(config), config)
    _loop(learner, samples, validation, config)
    learner.average.load_state_dict(read_checkpoint(config.out / BEST).average)
    path = config.out / "palm.pt2"
    record = settings_besides(config, RESUME_MUTABLE_KEYS) | {
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


def _loop(
    learner: Learner[PalmNetwork], samples: PalmSamples, validation: PalmSamples, config: PalmTrainConfig
) -> None:
    """Steps from the last checkpoint to the end of the budget; validates and writes checkpoints."""
    identity, note = settings_besides(config, RESUME_MUTABLE_KEYS), ""
    state = restore(config.out, learner, identity)
    first = state.step * config.batch_samples
    with track_progress("train palm", config.total_samples, "samples", first) as advance:
        for step in range(state.step, steps_of(config)):
            loss = _loss(learner.network, _pick(samples, step, config), config)
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


def _pick(samples: PalmSamples, step: int, config: PalmTrainConfig) -> PalmBatch:
    """The batch of a step, drawn from seed and step alone."""
    random = np.random.default_rng([config.seed, step])
    picked = np.sort(random.integers(0, len(samples.pictures), config.batch_samples))
    return make_palm_batch(samples, picked, random)


def _loss(network: PalmNetwork, batch: PalmBatch, config: PalmTrainConfig) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        palms = network(batch.pictures)["palms"]
    return palm_loss(palms.float(), batch.targets, config.side_weight)


def _note(out: Path, samples: int, score: PalmScore) -> None:
    append_history(out, {"samples": samples, **score._asdict()})
