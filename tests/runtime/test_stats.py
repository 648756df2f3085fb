"""Rate and stage times are right from the first frames on, and gone when frames stop."""

import pytest

from handmap.system.timing import StageClock
from runtime import stats as stats_module
from runtime.state import Counts
from runtime.stats import StatsLog


class SetClock:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def time_s(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    clock = SetClock()
    monkeypatch.setattr(stats_module, "time", clock)
    return clock


def publish(stats: StatsLog, clock: StageClock, time_s: SetClock, frames: int, frame_s: float) -> None:
    for _ in range(frames):
        clock.record("total", 4_000_000)
        stats.count(1, Counts(), 0)
        time_s.now_s += frame_s


def test_the_first_frames_have_a_rate_and_stage_times(time_s: SetClock) -> None:
    clock = StageClock()
    stats = StatsLog(clock, 10.0)
    assert stats.rate_hz() == 0.0 and stats.stages() == {}
    time_s.now_s += 3  # engines are being opened

    publish(stats, clock, time_s, 5, 1 / 30)

    assert stats.rate_hz() == pytest.approx(30, rel=1e-6)
    assert stats.stages()["total"].p50_ms == 4.0


def test_a_changed_rate_shows_within_seconds_however_long_the_window_is(time_s: SetClock) -> None:
    clock = StageClock()
    stats = StatsLog(clock, 3600.0)
    publish(stats, clock, time_s, 600, 1 / 60)

    publish(stats, clock, time_s, 130, 1 / 15)

    assert stats.rate_hz() == pytest.approx(15, rel=1e-6)


@pytest.mark.parametrize("frame_s", [1 / 60, 2.0])
def test_the_rate_is_zero_once_frames_stop_and_not_before(time_s: SetClock, frame_s: float) -> None:
    clock = StageClock()
    stats = StatsLog(clock, 10.0)
    publish(stats, clock, time_s, 4, frame_s)

    assert stats.rate_hz() == pytest.approx(1 / frame_s)
    time_s.now_s += max(1.5, 2 * frame_s)
    assert stats.rate_hz() == 0.0


def test_stage_times_of_a_finished_window_stay_until_they_are_stale(time_s: SetClock) -> None:
    clock = StageClock()
    stats = StatsLog(clock, 1.05)
    publish(stats, clock, time_s, 12, 0.1)

    assert stats.stages()["total"].count == 12
    time_s.now_s += 3
    assert stats.stages() == {}
