"""What a run goes on from: what is put back, which file is written first, and when it is time to write."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from handmap.types.errors import ConfigError, ModelError
from tests.training.checkpoints import assert_same
from training.trainer.checkpoint import BEST, LAST, read_checkpoint
from training.trainer.resumable import (
    HISTORY,
    Learner,
    RunState,
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

IDENTITY: dict[str, object] = {"seed": 1}


class Settings(msgspec.Struct, frozen=True):
    """The least that a run is configured with."""

    total_samples: int = 40
    batch_samples: int = 8
    warmup_samples: int = 8
    learning_rate: float = 0.01
    weight_decay: float = 0.1
    average_decay: float = 0.9
    out: Path = Path("runs/small")


def start(seed: int) -> Learner[nn.Sequential]:
    torch.manual_seed(seed)
    return begin(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)), Settings())


def train(learner: Learner[nn.Sequential], steps: range) -> None:
    for step in steps:
        shown = np.random.default_rng(step).normal(size=(8, 3)).astype(np.float32)
        loss = (learner.network(torch.from_numpy(shown)) - 1).square().mean()
        take_step(learner, loss, step, Settings())


def keep(folder: Path, learner: Learner[nn.Sequential], state: RunState, is_best: bool) -> None:
    write_checkpoints(folder, take_snapshot(learner, state, Settings(), IDENTITY), is_best)


def test_a_restored_learner_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    straight, stopped, resumed = start(1), start(1), start(2)
    train(straight, range(5))
    train(stopped, range(3))
    keep(tmp_path, stopped, RunState(3, {"pose": 0.5}, 12.0), is_best=False)

    state = restore(tmp_path, resumed, IDENTITY)
    train(resumed, range(state.step, 5))

    assert state == RunState(3, {"pose": 0.5}, 12.0)
    for name in ("network", "average", "optimizer"):
        assert_same(getattr(resumed, name).state_dict(), getattr(straight, name).state_dict(), name)


def test_the_averaged_weights_follow_the_network_and_are_not_trained(tmp_path: Path) -> None:
    learner = start(1)
    before = [weight.clone() for weight in learner.average.parameters()]

    train(learner, range(1))

    for old, mean, new in zip(before, learner.average.parameters(), learner.network.parameters(), strict=True):
        assert not torch.equal(old, new) and not mean.requires_grad
        torch.testing.assert_close(mean, old + (new - old) * 0.9)  # the first step forgets most of the start
    assert learner.network.training and not learner.average.training


def test_a_folder_without_a_checkpoint_is_the_start_of_a_run(tmp_path: Path) -> None:
    assert restore(tmp_path, start(1), IDENTITY) == RunState(0, {}, float("inf"))


def test_a_run_with_another_identity_is_rejected_and_nothing_restored(tmp_path: Path) -> None:
    keep(tmp_path, start(1), RunState(3, {}, 12.0), is_best=False)
    learner, untouched = start(2), start(2)

    with pytest.raises(ConfigError, match="trained with seed = 1, the configuration says 2"):
        restore(tmp_path, learner, {"seed": 2})

    assert_same(learner.network.state_dict(), untouched.network.state_dict(), "network")


def test_the_best_is_on_disk_before_the_last_speaks_of_it(tmp_path: Path) -> None:
    (tmp_path / LAST).mkdir()  # which no file can replace

    with pytest.raises(ModelError, match=r"last\.pt' cannot be written"):
        keep(tmp_path, start(1), RunState(2, {}, 11.0), is_best=True)

    assert read_checkpoint(tmp_path / BEST).best_error == 11.0


def test_a_checkpoint_from_when_every_error_was_called_mm_reads(tmp_path: Path) -> None:
    keep(tmp_path, start(1), RunState(2, {}, -0.93), is_best=True)
    new = torch.load(tmp_path / BEST, weights_only=True)
    old = {name: value for name, value in new.items() if name != "best_error"}
    torch.save({**old, "format": 1, "best_error_mm": new["best_error"]}, tmp_path / LAST)

    found = read_checkpoint(tmp_path / LAST)

    assert found.best_error == -0.93
    assert_same(found._asdict(), read_checkpoint(tmp_path / BEST)._asdict(), "checkpoint")


def test_a_worse_one_leaves_the_best_as_it_is(tmp_path: Path) -> None:
    keep(tmp_path, start(1), RunState(2, {}, 11.0), is_best=True)

    keep(tmp_path, start(1), RunState(4, {}, 11.0), is_best=False)

    best, last = (read_checkpoint(tmp_path / name) for name in (BEST, LAST))
    assert (best.step, best.samples, last.step, last.samples) == (2, 16, 4, 32)


@pytest.mark.parametrize("seed", range(20))
def test_it_is_time_where_a_multiple_of_the_interval_is_reached_and_at_the_end(seed: int) -> None:
    total, batch, every = np.random.default_rng(seed).integers(1, (500, 20, 60)).tolist()
    settings = Settings(total_samples=total, batch_samples=batch)
    steps = steps_of(settings)

    found = {step for step in range(1, steps + 1) if is_due(step, every, settings)}

    reached = {-(-samples // batch) for samples in range(every, steps * batch + 1, every)}
    assert steps == int(np.ceil(total / batch))
    assert found == reached | {steps}


def test_the_identity_holds_plain_values_and_not_what_may_change() -> None:
    plain = settings_besides(Settings(), frozenset(("total_samples", "batch_samples", "learning_rate")))

    assert plain == {"warmup_samples": 8, "weight_decay": 0.1, "average_decay": 0.9, "out": "runs/small"}


def test_the_history_grows_by_lines(tmp_path: Path) -> None:
    for samples in (8, 16):
        append_history(tmp_path, {"samples": samples})

    assert [json.loads(line) for line in (tmp_path / HISTORY).read_text().splitlines()] == [
        {"samples": 8}, {"samples": 16},
    ]  # fmt: skip
