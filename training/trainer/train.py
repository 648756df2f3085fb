"""The training loop: batches in, steps, validation, checkpoints; resumes by itself from the last checkpoint of its folder.

The step is in `optimize`, checkpoints in `resumable`, the data in `streams`, the trained program in `program`.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from handmap.files.atomic import refuse_unwritable
from handmap.system.progress import Advance, track_progress
from handmap.types.errors import ModelError

from ..network.network import HandMap
from .budget import Clock
from .checkpoint import BEST, read_checkpoint, read_weights
from .distributed import Place, join_processes
from .optimize import Losses, Trainee, learning_rate_at
from .pool_stream import DeviceBatch
from .program import write_program
from .resumable import (
    Learner,
    RunState,
    append_history,
    begin,
    is_due,
    restore,
    take_snapshot,
    take_step,
    write_checkpoints,
)
from .streams import open_stream
from .train_config import TrainConfig, identity_of
from .validate import ValidationSet, make_labeled_validation_set, make_validation_set, predict

if TYPE_CHECKING:  # its library may be missing
    from .tensorboard_log import TensorBoardLog

SMOOTHING = 0.9
CHECK_EVERY_STEPS = 20


class _Source(NamedTuple):
    """What a run learns from, what chooses its best weights in the first process, its clock, and the log if it is wanted."""

    batches: Iterator[DeviceBatch]
    validation: ValidationSet | None
    clock: Clock
    log: "TensorBoardLog | None"


class Run(NamedTuple):
    """What a run moves, and the same network with its losses (under DDP where there are several processes)."""

    learner: Learner[HandMap]
    parallel: nn.Module


def train(config: TrainConfig) -> Path:
    """Trains until the budget is spent and writes `handmap.pt2` and `handmap.json` from the best averaged weights.

    Gives the path of the program. A run that was killed goes on from its last checkpoint: of the cache's stream exactly as if
    it had not been, and of a budget in wall time for what is left of it.
    """
    started_s = time.monotonic()
    if config.tensorboard:
        from . import tensorboard_log  # noqa: F401  # at once, since its library may be missing
    torch.set_num_threads(config.threads)
    path = config.out / "handmap.pt2"
    refuse_unwritable(path)
    with join_processes(config.batch_samples, config.device) as place:
        run = _begin(config, place)
        state = restore(config.out, run.learner, identity_of(config))
        clock = Clock(started_s, state.elapsed_s)
        with ExitStack() as stack:
            batches: Iterator[DeviceBatch] = iter(())
            if not _is_over(state, config):
                batches = stack.enter_context(open_stream(config, place, state.step))
            # While the first samples are drawn.
            validation = make_validation_set(config) if place.is_first else None
            choosing = _choosing(validation, config)
            log = None
            if config.tensorboard and choosing is not None and not _is_over(state, config):
                log = stack.enter_context(_open_log(choosing, state, config))
            _loop(run, state, _Source(batches, choosing, clock, log), config, place)
        if validation is not None:
            best = read_checkpoint(config.out / BEST)
            run.learner.average.load_state_dict(best.average)
            _blend_start(run.learner.average, config)
            write_program(path, run.learner.average.cpu(), validation, config, best)
    return path


def _choosing(validation: ValidationSet | None, config: TrainConfig) -> ValidationSet | None:
    """What chooses the best weights: rendered hands, or those of `validate_on`."""
    if validation is None or config.validate_on is None:
        return validation
    return make_labeled_validation_set(config.validate_on, config, config.labeled_cache)


def _open_log(
    validation: ValidationSet, state: RunState, config: TrainConfig
) -> AbstractContextManager["TensorBoardLog"]:
    from .tensorboard_log import open_log  # only if it is asked for

    return open_log(config.out, validation, state.step * config.batch_samples)


def _begin(config: TrainConfig, place: Place) -> Run:
    """A fresh run: seeded weights, or those of another run's checkpoint."""
    torch.manual_seed(config.seed)
    network = HandMap(config.network)
    if config.start_from is not None:
        try:
            network.load_state_dict(read_weights(config.start_from))
        except RuntimeError as error:
            raise ModelError(
                f"start_from {str(config.start_from)!r} contains a network that does not match `network`; make them agree"
            ) from error
    network.to(place.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch stubs lack this form
    learner = begin(network, config)
    parallel: nn.Module = Trainee(learner.network, config)
    if place.share.processes > 1:
        devices = [place.device] if place.device.type == "cuda" else None
        parallel = DistributedDataParallel(parallel, device_ids=devices)
    return Run(learner, parallel)


@torch.no_grad()
def _blend_start(average: HandMap, config: TrainConfig) -> None:
    """Draws weights back toward those that the run began with, by start_share.

    Most of what fine-tuning gained is kept, and most of what it lost elsewhere comes back (Wortsman et al., "Robust fine-tuning
    of zero-shot models", CVPR 2022).
    """
    if config.start_share and config.start_from is not None:
        start = HandMap(config.network)
        start.load_state_dict(read_weights(config.start_from))
        for own, first in zip(average.state_dict().values(), start.state_dict().values(), strict=True):
            if own.is_floating_point():
                own.lerp_(first.to(own.device), config.start_share)


def _loop(run: Run, state: RunState, source: _Source, config: TrainConfig, place: Place) -> None:
    """Steps to the end of the budget; validates and writes checkpoints in the first process."""
    error_mm, saved_s = float("nan"), time.monotonic()
    with ExitStack() as stack:
        advance = stack.enter_context(_show_progress(state, config)) if place.is_first else None
        for batch in source.batches:
            # Dropout is a function of seed and step, so that a resumed run repeats it.
            torch.manual_seed(hash((config.seed, state.step, place.share.rank)))
            losses: Losses = run.parallel(*batch)
            take_step(run.learner, losses.total, state.step, config, state.elapsed_s / config.budget_s)
            state = _count(state, losses)._replace(elapsed_s=source.clock.elapsed_s())
            is_over = _is_over(state, config)
            if source.log is not None and state.step % CHECK_EVERY_STEPS == 0:
                source.log.note_losses(state.step * config.batch_samples, state.smoothed, _rate(state, config))
            if advance is not None and source.validation is not None:
                is_scored, is_best = is_over or is_due(state.step, config.validate_every_samples, config), False
                if is_scored:
                    error_mm = _validate(run.learner.average, state, source, config)
                    is_best = error_mm < state.best_error
                    state = state._replace(best_error=min(state.best_error, error_mm))
                if is_scored or time.monotonic() - saved_s > config.checkpoint_every_s:
                    snapshot = take_snapshot(run.learner, state, config, identity_of(config))
                    write_checkpoints(config.out, snapshot, is_best)
                    saved_s = time.monotonic()
                advance(_done(state, config), _note(state, error_mm, config))
            if is_over:
                break


def _is_over(state: RunState, config: TrainConfig) -> bool:
    return state.step >= config.steps or state.elapsed_s >= config.budget_s


def _show_progress(state: RunState, config: TrainConfig) -> AbstractContextManager[Advance]:
    """In samples or in seconds, as the budget is."""
    first = _done(state, config)
    if config.budget is None:
        return track_progress("train", config.steps * config.batch_samples, "samples", first)
    return track_progress("train", round(config.budget_s), "s", first)


def _done(state: RunState, config: TrainConfig) -> int:
    return state.step * config.batch_samples if config.budget is None else int(state.elapsed_s)


def _count(state: RunState, losses: Losses) -> RunState:
    """The state a step on; follows the losses every few steps, and stops a run whose weights are lost.

    Raises ModelError where the loss is not finite.
    """
    step, smoothed = state.step + 1, dict(state.smoothed)
    if step % CHECK_EVERY_STEPS == 0:
        for name, term in losses.terms.items():
            value = term.item()
            if not np.isfinite(value):
                raise ModelError(
                    f"training step {step}: the {name} loss is {value}; start again with a lower learning_rate"
                )
            smoothed[name] = SMOOTHING * smoothed.get(name, value) + (1 - SMOOTHING) * value
    return state._replace(step=step, smoothed=smoothed)


def _validate(average: HandMap, state: RunState, source: _Source, config: TrainConfig) -> float:
    """Scores the averaged weights, notes it in the history and the log, and gives their mean error in mm."""
    assert source.validation is not None
    error_mm = predict(average, source.validation).error_mm
    mean_mm = float(np.nanmean(error_mm))
    facts = {
        "samples": state.step * config.batch_samples,
        "mean_mm": round(mean_mm, 3),
        "median_mm": round(float(np.nanmedian(error_mm)), 3),
        "learning_rate": _rate(state, config),
        "elapsed_s": round(state.elapsed_s, 1),
        "unix_s": round(time.time()),
        **{f"{name}_loss": value for name, value in state.smoothed.items()},
    }
    append_history(config.out, facts)
    if source.log is not None:
        source.log.note_validation(facts, average)
    return mean_mm


def _rate(state: RunState, config: TrainConfig) -> float:
    return learning_rate_at(state.step * config.batch_samples, config, state.elapsed_s / config.budget_s)


def _note(state: RunState, error_mm: float, config: TrainConfig) -> str:
    losses = "".join(f", {name} loss {value:.5f}" for name, value in state.smoothed.items())
    validation = "" if np.isnan(error_mm) else f", validation {error_mm:.2f} mm"  # NaN: none yet
    return f"{state.step * config.batch_samples} samples{validation}{losses}"
