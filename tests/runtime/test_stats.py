"""Rate and stage times are right from the first frames on, and gone when frames stop; the log line."""

import logging
import re

import numpy as np
import pytest

from handmap.system.timing import StageClock
from handmap.types.values import Handedness, HandPose, HandRoi
from runtime import rate as rate_module
from runtime import stats as stats_module
from runtime.logs import facts_of
from runtime.quality import Quality
from runtime.rate import RateMeter
from runtime.state import Counts
from runtime.stats import StatsLog
from tests.support.processes import ROOT
from tests.support.tiny_bundle import blob_frame


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
    monkeypatch.setattr(rate_module, "time", clock)
    return clock


def publish(stats: StatsLog, clock: StageClock, time_s: SetClock, frames: int, frame_s: float) -> None:
    for _ in range(frames):
        clock.record("total", 4_000_000)
        stats.count(Counts(), 0)
        time_s.now_s += frame_s


def test_the_first_frames_have_a_rate_and_stage_times(time_s: SetClock) -> None:
    clock = StageClock()
    stats = StatsLog(clock, 10.0, Quality())
    assert stats.rate_hz() == 0.0 and stats.stages() == {}
    time_s.now_s += 3  # engines are being opened

    publish(stats, clock, time_s, 5, 1 / 30)

    assert stats.rate_hz() == pytest.approx(30, rel=1e-6)
    assert stats.stages()["total"].p50_ms == 4.0


def test_a_changed_rate_shows_within_seconds_however_long_the_window_is(time_s: SetClock) -> None:
    clock = StageClock()
    stats = StatsLog(clock, 3600.0, Quality())
    publish(stats, clock, time_s, 600, 1 / 60)

    publish(stats, clock, time_s, 130, 1 / 15)

    assert stats.rate_hz() == pytest.approx(15, rel=1e-6)


@pytest.mark.parametrize("frame_s", [1 / 60, 2.0])
def test_the_rate_is_zero_once_frames_stop_and_not_before(time_s: SetClock, frame_s: float) -> None:
    clock = StageClock()
    stats = StatsLog(clock, 10.0, Quality())
    publish(stats, clock, time_s, 4, frame_s)

    assert stats.rate_hz() == pytest.approx(1 / frame_s)
    time_s.now_s += max(1.5, 2 * frame_s)
    assert stats.rate_hz() == 0.0


def test_stage_times_of_a_finished_window_stay_until_they_are_stale(time_s: SetClock) -> None:
    clock = StageClock()
    stats = StatsLog(clock, 1.05, Quality())
    publish(stats, clock, time_s, 12, 0.1)

    assert stats.stages()["total"].count == 12
    time_s.now_s += 3
    assert stats.stages() == {}


def hand(track_id: int = 1) -> HandPose:
    """A hand half a meter away whose joints are expected to be off by 6 mm."""
    joints = np.full((21, 3), (0.0, 0.0, 500.0), np.float32)
    roi = HandRoi(joints[0], 250.0, False)
    return HandPose(
        joints, np.full(21, 6.0, np.float32), roi, track_id, Handedness.RIGHT, 0.9, 0.8, True, True, False, 0, 0
    )


def test_a_line_states_the_window_and_of_losses_only_those_that_occurred(
    time_s: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock = StageClock(budgets_ms={"crop": 1.0, "total": 50.0})
    quality = Quality()
    stats, counts = StatsLog(clock, 1.0, quality), Counts(dropped=3, skipped=1, stale=4, repeated=5, late=2)
    seen = blob_frame(0)

    for second in range(2):
        for number in range(10):
            counts.arrivals.note()
            clock.record("crop", 2_000_000 if second == 0 else 500_000)
            clock.record("total", 7_000_000)
            time_s.now_s += 0.1001
            quality.see(seen, [hand()] if number < 5 else [], None)
            stats.count(counts, send_errors=2)

    assert [record.getMessage() for record in caplog.records] == [
        "rate_hz=10.0 camera_hz=10.0 hands=0.50 error_mm=6.0 total_ms=7.0/7.0 "
        "dropped=3 skipped=1 late=2 stale=4 repeated=5 send_errors=2 slow=crop:10",
        "rate_hz=10.0 camera_hz=10.0 hands=0.50 error_mm=6.0 total_ms=7.0/7.0",
    ]
    facts = facts_of(caplog.records[0])
    assert (facts["rate_hz"], facts["dropped"]) == (pytest.approx(10.0, rel=1e-2), 3)


def test_a_line_of_a_window_without_hands_has_no_error(time_s: SetClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stats = StatsLog(StageClock(), 1.0, Quality())
    time_s.now_s += 2

    stats.count(Counts(), 0)

    assert caplog.records[0].getMessage() == "rate_hz=0.5 camera_hz=0.0 hands=0.00"


def test_after_a_silence_the_rate_is_that_of_the_events_since(time_s: SetClock) -> None:
    meter = RateMeter()
    for gap_s in (1 / 60, 1 / 60, 1 / 60, 20.0, 1 / 30, 1 / 30):
        meter.note()
        time_s.now_s += gap_s
    meter.note()

    assert meter.rate_hz() == pytest.approx(30, rel=1e-6)
    assert meter.total == 7


def test_the_page_explains_every_word_of_the_line_and_no_other(
    time_s: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock = StageClock(budgets_ms=dict.fromkeys(("age", "total"), 1.0))
    quality, counts = Quality(), Counts(*range(1, 8))
    stats = StatsLog(clock, 1.0, quality)
    quality.see(blob_frame(0), [hand()], None)
    for name in ("age", "total"):
        clock.record(name, 9_000_000)
    time_s.now_s += 2
    stats.count(counts, send_errors=1)
    words = [word.partition("=")[0] for word in caplog.records[0].getMessage().split()]

    section = (ROOT / "docs" / "operating.md").read_text().split("### The line with rates\n")[1].split("\n#")[0]
    explained = re.findall(r"^\| `(\w+)` \| \w", section, re.MULTILINE)
    (example,) = re.findall(r"^    (rate_hz=.*)$", section, re.MULTILINE)

    assert words == explained
    shown = [word.partition("=")[0] for word in example.split()]
    assert shown == [word for word in words if word in shown]
    assert len(example) < 120
