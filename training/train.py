"""The training loop: batches in, steps, validation, checkpoints; resumes by itself from the last checkpoint of its folder.

The step is in `optimise`, the data in `sample_stream`, the trained program in `program`.
"""

import copy
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from handmap.errors import ConfigError, ModelError
from handmap.progress import track_progress

from .checkpoint import BEST, LAST, Checkpoint, check_identity, read_checkpoint, read_weights, write_checkpoint
from .distributed import Place, join_processes
from .network import HandMap
from .optimise import Losses, Trainee, learning_rate_at, make_optimiser, step_optimiser, update_average
from .program import write_program
from .sample_cache import ShardMaker, open_cache
from .sample_stream import SampleStream, TrainingBatch, rounds_of
from .train_config import TrainConfig, identity_of
from .validate import ValidationSet, make_validation_set, predict

HISTORY = "history.jsonl"
SMOOTHING = 0.9
CHECK_EVERY_STEPS = 20


class Run(NamedTuple):
    """What a run moves: the network with its losses (under DDP where there are several processes), averaged weights, optimiser."""

    trainee: Trainee
    parallel: nn.Module
    average: HandMap
    optimiser: torch.optim.AdamW


def train(config: TrainConfig) -> Path:
    """Trains until the budget is spent and writes `handmap.pt2` and `handmap.json` from the best averaged weights.

    Gives the path of the program. A run that was killed goes on from its last checkpoint, exactly as if it had not been.
    """
    torch.set_num_threads(config.threads)
    try:
        config.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"training output {str(config.out)!r} cannot be made: {error}; name a folder that can be written"
        ) from error
    with join_processes(config.batch_samples) as place:
        run = _begin(config, place)
        state = _restore(run, config)
        folder = open_cache(config.cache)
        with ExitStack() as stack:
            check = _do_nothing
            if place.is_renderer:
                maker = stack.enter_context(
                    ShardMaker(folder, config.cache, rounds_of(config) + config.cache.window_shards - 2)
                )
                check = maker.check
            stream = SampleStream(folder, config, place.share, check)
            batches = _follow_rounds(stream, maker if place.is_renderer else None, state.step, config)
            _loop(run, state, batches, config, place)
        path = config.out / "handmap.pt2"
        if place.is_first:
            best = read_checkpoint(config.out / BEST)
            run.average.load_state_dict(best.average)
            write_program(path, run.average.cpu(), make_validation_set(config), config, best)
        return path


class _State:
    """Where the loop is; the only thing here that changes in place beside the weights."""

    def __init__(self, step: int, smoothed: dict[str, float], best_error_mm: float) -> None:
        self.step = step
        self.smoothed = smoothed
        self.best_error_mm = best_error_mm
        self.error_mm = float("nan")


def _do_nothing() -> None:
    """The check of a process that renders nothing itself."""


def _begin(config: TrainConfig, place: Place) -> Run:
    """A fresh run: seeded weights, or those of another run's checkpoint."""
    torch.manual_seed(config.seed)
    network = HandMap(config.network)
    if config.start_from is not None:
        try:
            network.load_state_dict(read_weights(config.start_from))
        except RuntimeError as error:
            raise ModelError(
                f"start_from {str(config.start_from)!r} holds another network than `network` describes; make them agree"
            ) from error
    network.to(place.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch stubs lack this form
    average = copy.deepcopy(network).eval().requires_grad_(False)
    trainee = Trainee(network, config).train()
    parallel: nn.Module = trainee
    if place.share.processes > 1:
        devices = [place.device] if place.device.type == "cuda" else None
        parallel = DistributedDataParallel(trainee, device_ids=devices)
    return Run(trainee, parallel, average, make_optimiser(network, config))


def _restore(run: Run, config: TrainConfig) -> _State:
    """Puts the last checkpoint of the output folder into the run, if there is one."""
    path = config.out / LAST
    if not path.exists():
        return _State(0, {}, float("inf"))
    saved = read_checkpoint(path)
    check_identity(path, saved, identity_of(config))
    run.trainee.network.load_state_dict(saved.network)
    run.average.load_state_dict(saved.average)
    run.optimiser.load_state_dict(saved.optimiser)
    return _State(saved.step, dict(saved.smoothed), saved.best_error_mm)


def _follow_rounds(
    stream: SampleStream, maker: ShardMaker | None, step: int, config: TrainConfig
) -> Iterator[TrainingBatch]:
    """The batches from `step` on, telling the maker of samples how far training is."""
    if maker is not None:
        maker.move_to(stream.round_of(step))
    for batch in stream.batches(step, config.steps):
        yield batch
        step += 1
        if maker is not None:
            maker.move_to(stream.round_of(step))


def _loop(run: Run, state: _State, batches: Iterator[TrainingBatch], config: TrainConfig, place: Place) -> None:
    """Steps to the end of the budget; validates and writes checkpoints in the first process."""
    validation = make_validation_set(config) if place.is_first else None
    weights = list(run.trainee.parameters())
    saved_s = time.monotonic()
    with ExitStack() as stack:
        advance = None
        if place.is_first:
            first = state.step * config.batch_samples
            advance = stack.enter_context(
                track_progress("train", config.steps * config.batch_samples, "samples", first)
            )
        for batch in batches:
            samples = state.step * config.batch_samples
            # Dropout is a function of seed and step, so that a resumed run repeats it.
            torch.manual_seed(hash((config.seed, state.step, place.share.rank)))
            losses: Losses = run.parallel(*_to_device(batch, place.device))
            losses.total.backward()  # type: ignore[no-untyped-call]  # torch stubs
            step_optimiser(run.optimiser, weights, learning_rate_at(samples, config))
            update_average(run.average, run.trainee.network, state.step, config.average_decay)
            state.step += 1
            _smooth(state, losses)
            if advance is not None and validation is not None:
                is_due = (
                    _crosses(samples, config.batch_samples, config.validate_every_samples) or state.step == config.steps
                )
                if is_due:
                    _validate(run, state, validation, config)
                if is_due or time.monotonic() - saved_s > config.checkpoint_every_s:
                    write_checkpoint(config.out / LAST, _snapshot(run, state, config))
                    saved_s = time.monotonic()
                advance(state.step * config.batch_samples, _note(state))


def _to_device(batch: TrainingBatch, device: torch.device) -> list[torch.Tensor | None]:
    return [None if array is None else torch.from_numpy(array).to(device, non_blocking=True) for array in batch]


def _crosses(samples: int, count: int, every: int) -> bool:
    """Whether a multiple of `every` lies in (samples, samples + count]."""
    return (samples + count) // every > samples // every


def _smooth(state: _State, losses: Losses) -> None:
    """Follows the losses every few steps, and stops a run whose weights are lost.

    Raises ModelError where the loss is not finite.
    """
    if state.step % CHECK_EVERY_STEPS:
        return
    for name, value in zip(("pose", "maps"), (losses.pose.item(), losses.maps.item()), strict=True):
        if not np.isfinite(value):
            raise ModelError(
                f"training step {state.step}: the {name} loss is {value}; start again with a lower learning_rate"
            )
        state.smoothed[name] = SMOOTHING * state.smoothed.get(name, value) + (1 - SMOOTHING) * value


def _validate(run: Run, state: _State, validation: ValidationSet, config: TrainConfig) -> None:
    """Scores the averaged weights, notes it in the history, and keeps them if they are the best."""
    error_mm = predict(run.average, validation).error_mm
    mean_mm = float(np.nanmean(error_mm))
    samples = state.step * config.batch_samples
    fact = {
        "samples": samples,
        "mean_mm": round(mean_mm, 3),
        "median_mm": round(float(np.nanmedian(error_mm)), 3),
        "learning_rate": learning_rate_at(samples, config),
        "unix_s": round(time.time()),
        **{f"{name}_loss": value for name, value in state.smoothed.items()},
    }
    with (config.out / HISTORY).open("a", encoding="utf-8") as file:
        file.write(json.dumps(fact) + "\n")
    state.error_mm = mean_mm
    if mean_mm < state.best_error_mm:
        state.best_error_mm = mean_mm
        write_checkpoint(config.out / BEST, _snapshot(run, state, config))


def _snapshot(run: Run, state: _State, config: TrainConfig) -> Checkpoint:
    return Checkpoint(
        network=run.trainee.network.state_dict(),
        average=run.average.state_dict(),
        optimiser=run.optimiser.state_dict(),
        step=state.step,
        samples=state.step * config.batch_samples,
        smoothed=dict(state.smoothed),
        best_error_mm=state.best_error_mm,
        identity=identity_of(config),
    )


def _note(state: _State) -> str:
    losses = ", ".join(f"{name} loss {value:.5f}" for name, value in state.smoothed.items())
    return f"validation {state.error_mm:.2f} mm, {losses}"
