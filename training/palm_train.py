"""The training loop of the palm network: samples from memory, steps, validation, checkpoints; resumes by itself as `train` does."""

import copy
import json
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handmap.palm_view import SMALL_COLUMNS
from handmap.progress import track_progress

from .checkpoint import BEST, LAST, Checkpoint, check_identity, read_checkpoint, read_weights, write_checkpoint
from .optimise import learning_rate_at, make_optimiser, step_optimiser, update_average
from .palm_network import PalmNetwork
from .palm_program import write_palm_program
from .palm_samples import TRAIN_DOMAIN, VALIDATION_DOMAIN, PalmSamples, load_samples
from .palm_score import PalmScore, score_palms
from .palm_targets import PalmTargets, make_targets, palm_loss
from .train import HISTORY
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


PACE = frozenset(("total_samples", "out", "cache", "start_from", "validate_every_samples", "threads"))


class PalmBatch(NamedTuple):
    """pictures (N, 1, 96, 128) float32 and what they should be answered with."""

    pictures: Tensor
    targets: PalmTargets


def make_batch(samples: PalmSamples, picked: NDArray[np.int64], random: np.random.Generator) -> PalmBatch:
    """The picked samples, half of them mirrored (a left hand becomes a right one), each a little larger or smaller."""
    pictures = samples.pictures[picked].astype(np.float32)
    hands, is_right = samples.hands[picked].copy(), samples.is_right[picked].copy()
    turned = random.uniform(size=len(picked)) < 0.5
    pictures[turned] = pictures[turned, :, ::-1]
    hands[turned, :, 0] = SMALL_COLUMNS - 1 - hands[turned, :, 0]
    is_right[turned] = ~is_right[turned]
    scale = random.uniform(*SIZE_RANGE, len(picked)).astype(np.float32)
    pictures *= scale[:, None, None]
    hands[..., 2] *= scale[:, None]
    targets = make_targets(hands, is_right, samples.seen_joints[picked])
    return PalmBatch(torch.from_numpy(pictures)[:, None], targets)


def train_palm(config: PalmTrainConfig) -> Path:
    """Trains until the budget is spent and writes `palm.pt2` from the best averaged weights. Gives its path."""
    torch.set_num_threads(config.threads)
    config.out.mkdir(parents=True, exist_ok=True)
    samples = load_samples(config.cache, TRAIN_DOMAIN, config.rendered)
    validation = load_samples(config.cache, VALIDATION_DOMAIN, config.validation_samples)
    torch.manual_seed(config.seed)
    network = PalmNetwork()
    if config.start_from is not None:
        network.load_state_dict(read_weights(config.start_from))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch stubs lack this form
    average = copy.deepcopy(network).eval().requires_grad_(False)
    optimiser = make_optimiser(network, config)
    step, best = 0, float("inf")
    last = config.out / LAST
    if last.exists():
        saved = read_checkpoint(last)
        check_identity(last, saved, _identity(config))
        network.load_state_dict(saved.network)
        average.load_state_dict(saved.average)
        optimiser.load_state_dict(saved.optimiser)
        step, best = saved.step, saved.best_error_mm
    network.train()
    weights = list(network.parameters())
    total, note = -(-config.total_samples // config.batch_samples), ""
    with track_progress("train palm", config.total_samples, "samples", step * config.batch_samples) as advance:
        while step < total:
            random = np.random.default_rng([config.seed, step])
            picked = np.sort(random.integers(0, len(samples.pictures), config.batch_samples))
            batch = make_batch(samples, picked, random)
            with torch.autocast("cpu", torch.bfloat16):
                palms = network(batch.pictures)["palms"]
            loss = palm_loss(palms.float(), batch.targets, config.side_weight)
            loss.backward()  # type: ignore[no-untyped-call]  # torch stubs
            step_optimiser(optimiser, weights, learning_rate_at(step * config.batch_samples, config))
            update_average(average, network, step, config.average_decay)
            step += 1
            seen = step * config.batch_samples
            if seen % config.validate_every_samples < config.batch_samples or step == total:
                score = score_palms(average, validation)
                _note(config.out, seen, score)
                is_best = -score.merit < best
                best = min(best, -score.merit)
                snapshot = Checkpoint(
                    network.state_dict(),
                    average.state_dict(),
                    optimiser.state_dict(),
                    step,
                    seen,
                    {},
                    best,
                    _identity(config),
                )
                # The best first: `last` says how good it is, so it must be there.
                for name in (*((BEST,) if is_best else ()), LAST):
                    write_checkpoint(config.out / name, snapshot)
                note = f"loss {loss.item():.3f}, {score}"
            advance(seen, note)
    average.load_state_dict(read_checkpoint(config.out / BEST).average)
    path = config.out / "palm.pt2"
    write_palm_program(path, average, score_palms(average, validation), _identity(config))
    return path


def _identity(config: PalmTrainConfig) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(config, enc_hook=str)
    return {name: value for name, value in plain.items() if name not in PACE}


def _note(out: Path, samples: int, score: PalmScore) -> None:
    with (out / HISTORY).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"samples": samples, **score._asdict()}) + "\n")
