"""The long run in short: that it measures, and that nothing grows or gets lost in half a minute. `make soak` runs an hour."""

from pathlib import Path

import numpy as np

from docs.measured.soak import Soak, judge, run


def test_half_a_minute_keeps_memory_and_loses_nothing(tmp_path: Path) -> None:
    soak = run(30.0, tmp_path)

    assert soak.lost == 0
    assert len(soak.at_s) > 20 * 30  # a busy machine may drop frames of the 60 a second
    assert soak.rss_mb[-1] - soak.rss_mb[1] < 8


def made_up(growth_mb_h: float, age_ms: float) -> Soak:
    at_s = np.arange(0, 600, 1 / 60)
    looked_s = np.arange(0, 600, 5.0)
    jitter = np.where(np.arange(len(at_s)) % 2, 15.0, 18.0)
    return Soak(at_s, np.full(len(at_s), age_ms), jitter, looked_s, 100 + growth_mb_h * looked_s / 3600, 0)


def test_each_limit_is_judged() -> None:
    assert judge(made_up(0.5, 5.0), 10)["kept"]
    assert not judge(made_up(2.0, 5.0), 10)["kept"]
    assert not judge(made_up(0.5, 50.0), 10)["kept"]
