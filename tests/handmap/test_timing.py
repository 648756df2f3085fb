"""The stage clock counts, bounds and sums up."""

import time

import pytest

from handmap.timing import StageClock


def test_percentiles_are_in_milliseconds() -> None:
    clock = StageClock()
    for duration_ms in range(1, 101):
        clock.record("crop", duration_ms * 1_000_000)

    summary = clock.summarise()["crop"]

    assert (summary.count, summary.max_ms) == (100, 100.0)
    assert summary.p50_ms == pytest.approx(50.5)
    assert summary.p99_ms == pytest.approx(99.01)


def test_stage_measures_what_runs_inside() -> None:
    clock = StageClock()

    with clock.stage("sleep"):
        time.sleep(0.01)

    assert 10 <= clock.summarise()["sleep"].p50_ms < 100


def test_stage_that_raises_is_measured_too() -> None:
    clock = StageClock()

    with pytest.raises(KeyError), clock.stage("broken"):
        raise KeyError

    assert clock.summarise()["broken"].count == 1


def test_ring_keeps_only_the_newest() -> None:
    clock = StageClock(capacity=3)
    for duration_ns in (100, 1, 2, 3):
        clock.record("a", duration_ns)

    assert clock.summarise()["a"].max_ms == pytest.approx(3e-6)
    assert clock.summarise()["a"].count == 3


def test_cleared_clock_has_nothing_to_say() -> None:
    clock = StageClock()
    clock.record("a", 1)

    clock.clear()

    assert clock.summarise() == {}
