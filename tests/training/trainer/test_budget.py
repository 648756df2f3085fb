"""A budget in wall time: how it is written, the rate over it, and that a run says how it ends."""

import math
from pathlib import Path

import pytest

from handmap.system.config import read_config
from handmap.types.errors import ConfigError
from training.trainer.budget import Clock, parse_duration
from training.trainer.optimize import learning_rate_at
from training.trainer.train_config import ENDLESS, TrainConfig, identity_of, length_of


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("9m", 540), ("1.5h", 5400), ("0.25m", 15), ("999999s", 999_999)]
)
def test_a_duration_is_a_number_with_its_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "9", "m", "9 m", "-9m", "9d", "0s", "0.000h", "1e3s", "inf", "nans", "٣m9", "9m "]
)
def test_an_invalid_duration_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number with s, m or h, such as 9m, got "):
        parse_duration(text)


@pytest.mark.parametrize(
    ("lines", "found"), [("seed: 1", "neither"), ("total_samples: 64\nbudget: 9m", "both"), ("budget: soon", "soon")]
)
def test_a_run_has_one_budget(tmp_path: Path, lines: str, found: str) -> None:
    (tmp_path / "c.yaml").write_text(lines + "\n")

    with pytest.raises(ConfigError, match=found):
        read_config(tmp_path / "c.yaml", TrainConfig)


def test_the_cosine_runs_over_wall_time() -> None:
    config = TrainConfig(budget="100s", learning_rate=1e-3, warmup_samples=0)

    rates = [learning_rate_at(50_000, config, spent) for spent in (0.0, 0.25, 0.5, 0.75, 1.0, 1.1)]

    expected = [0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * spent)) for spent in (0, 0.25, 0.5, 0.75, 1, 1)]
    assert rates == pytest.approx([1e-3 * share for share in expected])


def test_warm_up_counts_samples_for_any_budget() -> None:
    timed = TrainConfig(budget="100s", warmup_samples=1000)
    counted = TrainConfig(total_samples=ENDLESS // 2, warmup_samples=1000)

    for samples in (0, 500, 968, 1000):
        assert learning_rate_at(samples, timed, 0.0) == pytest.approx(learning_rate_at(samples, counted))
    assert learning_rate_at(500, timed, 0.5) == pytest.approx(learning_rate_at(500, timed, 0.0) * 0.505)


def test_a_budget_in_samples_knows_no_time() -> None:
    config = TrainConfig(total_samples=1000)

    assert config.budget_s == math.inf and 123.0 / config.budget_s == 0
    assert length_of(config) == {"total_samples": 1000}
    assert length_of(TrainConfig(budget="9m")) == {"budget": "9m"}


def test_the_budget_can_change_before_a_resume() -> None:
    short, long = TrainConfig(budget="9m"), TrainConfig(budget="1h", device="cpu")

    assert identity_of(short) == identity_of(long)


def test_the_clock_goes_on_from_the_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1007.5)

    assert Clock(started_s=1000.0, carried_s=120.0).elapsed_s() == 127.5
