"""The stage clock counts, bounds and sums up."""

import time

import pytest

from handmap.system.timing import BUCKETS_MS, StageClock


def test_percentiles_are_in_milliseconds() -> None:
    clock = StageClock()
    for duration_ms in range(1, 101):
        clock.record("crop", duration_ms * 1_000_000)

    summary = clock.summarize()["crop"]

    assert (summary.count, summary.max_ms) == (100, 100.0)
    assert summary.p50_ms == pytest.approx(50.5)
    assert summary.p99_ms == pytest.approx(99.01)


def test_every_sample_ever_falls_into_the_bucket_of_its_milliseconds() -> None:
    clock = StageClock(capacity=2)
    for duration_ms in (0.25, 0.3, 16.7, 16.8, 1000.0, 1000.1, 5000.0):
        clock.record("crop", round(duration_ms * 1e6))

    found = clock.histograms()["crop"]

    by_bound = dict(zip((*BUCKETS_MS, "above"), found.counts, strict=True))
    assert {bound: count for bound, count in by_bound.items() if count} == {
        0.25: 1, 0.5: 1, 16.7: 1, 25.0: 1, 1000.0: 1, "above": 2,
    }  # fmt: skip
    assert found.total_ns == clock.total_ns("crop") == 7_034_150_000


def test_stages_over_budget_are_counted() -> None:
    clock = StageClock(budgets_ms={"crop": 3.0})
    for duration_ms in (2.9, 3.0, 3.1, 40.0):
        clock.record("crop", round(duration_ms * 1e6))
        clock.record("infer", round(duration_ms * 1e6))

    assert clock.over_budget == {"crop": 2}


def test_a_stage_that_never_ran_took_no_time() -> None:
    assert StageClock().total_ns("crop") == 0


def test_stage_measures_what_runs_inside() -> None:
    clock = StageClock()

    with clock.stage("sleep"):
        time.sleep(0.01)

    assert 10 <= clock.summarize()["sleep"].p50_ms < 100


def test_stage_that_raises_is_measured_too() -> None:
    clock = StageClock()

    with pytest.raises(KeyError), clock.stage("broken"):
        raise KeyError

    assert clock.summarize()["broken"].count == 1


def test_ring_keeps_only_the_newest() -> None:
    clock = StageClock(capacity=3)
    for duration_ns in (100, 1, 2, 3):
        clock.record("a", duration_ns)

    assert clock.summarize()["a"].max_ms == pytest.approx(3e-6)
    assert clock.summarize()["a"].count == 3


def test_cleared_clock_has_no_samples() -> None:
    clock = StageClock()
    clock.record("a", 1)

    clock.clear()

    assert clock.summarize() == {}
