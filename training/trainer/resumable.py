"""A training run that can be killed at any time: the state it updates, its progress, and the folder that it resumes from.

Data and validation belong to each run's own loop.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec
import torch
from torch import Tensor, nn

from handmap.files.atomic import append_line, make_folder
from handmap.types.errors import ModelError

from .checkpoint import BEST, LAST, Checkpoint, check_identity, load_weights, read_checkpoint, write_checkpoint
from .optimize import Schedule, learning_rate_at, make_optimizer, step_optimizer, update_average

HISTORY = "history.jsonl"
NetworkT = TypeVar("NetworkT", bound=nn.Module)


class AveragedSchedule(Schedule, Protocol):
    """A schedule with the decay of the averaged weights."""

    @property
    def average_decay(self) -> float: ...


@dataclass(frozen=True)
class Learner(Generic[NetworkT]):
    """What a run moves: a network, its averaged weights, and the optimizer; changed in place by `take_step` and `restore`."""

    network: NetworkT
    average: NetworkT
    optimizer: torch.optim.Optimizer


class RunState(NamedTuple):
    """Where a run is: steps done, figures of the last of them by name, the least error so far, and the wall time taken."""

    step: int
    smoothed: dict[str, float]
    best_error: float
    elapsed_s: float = 0.0


def begin(network: NetworkT, config: Schedule) -> Learner[NetworkT]:
    """A network to be trained, with a copy of it as the averaged weights and a fresh optimizer."""
    average = copy.deepcopy(network).eval().requires_grad_(False)
    return Learner(network.train(), average, make_optimizer(network, config))


def restore(folder: Path, learner: Learner[NetworkT], identity: dict[str, object]) -> RunState:
    """Puts the last checkpoint of a folder into the learner and gives where it was; without one, the start of a run.

    Raises ConfigError where it belongs to a run of another identity, ModelError where it is damaged.
    """
    path = folder / LAST
    if not path.exists():
        return RunState(0, {}, float("inf"))
    saved = read_checkpoint(path)
    check_identity(path, saved, identity)
    load_weights(learner.network, saved.network, path)
    load_weights(learner.average, saved.average, path)
    try:
        learner.optimizer.load_state_dict(saved.optimizer)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"checkpoint {str(path)!r} has the optimizer of another network ({error}); use another --out"
        ) from error
    return RunState(saved.step, dict(saved.smoothed), saved.best_error, saved.elapsed_s)


def take_step(
    learner: Learner[NetworkT], loss: Tensor, step: int, config: AveragedSchedule, spent: float = 0.0
) -> None:
    """Moves the weights against the loss's gradient, and the averaged ones after them; `step` counts from 0.

    spent is the share of a budget in wall time, 0 of one in samples.
    """
    loss.backward()  # type: ignore[no-untyped-call]  # torch stubs
    rate = learning_rate_at(step * config.batch_samples, config, spent)
    step_optimizer(learner.optimizer, learner.network.parameters(), rate)
    update_average(learner.average, learner.network, step, config.average_decay)


def take_snapshot(
    learner: Learner[NetworkT], state: RunState, config: Schedule, identity: dict[str, object]
) -> Checkpoint:
    """The checkpoint of a run; its tensors are the learner's own, not copies."""
    return Checkpoint(
        network=learner.network.state_dict(),
        average=learner.average.state_dict(),
        optimizer=learner.optimizer.state_dict(),
        step=state.step,
        samples=state.step * config.batch_samples,
        smoothed=state.smoothed,
        best_error=state.best_error,
        identity=identity,
        elapsed_s=state.elapsed_s,
    )


def write_checkpoints(folder: Path, checkpoint: Checkpoint, is_best: bool) -> None:
    """Writes a checkpoint as the last of its run, and as the best where it is."""
    # The best first: `last` says how good it is, so it must be there.
    if is_best:
        write_checkpoint(folder / BEST, checkpoint)
    write_checkpoint(folder / LAST, checkpoint)


def append_history(folder: Path, facts: Mapping[str, object]) -> None:
    """Adds a line of facts to the run's history; its folder is made by the first, so that a run that is refused leaves none."""
    make_folder(folder)
    append_line(folder / HISTORY, json.dumps(facts))


def settings_besides(config: msgspec.Struct, pace: frozenset[str]) -> dict[str, object]:
    """The settings but those named, as plain values: what a resumed run must share with its checkpoint."""
    plain: dict[str, object] = msgspec.to_builtins(config, enc_hook=str)
    return {name: value for name, value in plain.items() if name not in pace}


def steps_of(config: Schedule) -> int:
    """Steps of the whole budget."""
    return -(-config.total_samples // config.batch_samples)


def is_due(step: int, every_samples: int, config: Schedule) -> bool:
    """Whether the last of these steps reached a multiple of `every_samples`, or the end of the budget."""
    samples = step * config.batch_samples
    return samples // every_samples > (samples - config.batch_samples) // every_samples or step == steps_of(config)
