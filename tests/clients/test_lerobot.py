import dataclasses
from pathlib import Path

import numpy as np
import pytest

from clients.lerobot_frames import STATE_NAMES, EpisodeSampler
from handmap.types.errors import ConfigError
from tests.support.data_sets import ROWS, check_pyarrow_files, two_episodes, write_two_episodes
from tests.support.wire_hands import NOW_NS, SAMPLE_NS, moment, seen

MS = 1_000_000


def test_hands_are_sampled_at_ticks_and_split_by_a_gap() -> None:
    first, second = two_episodes()

    assert (len(first), len(second)) == (4, 3)
    left, right = (np.array(row["hand21_mm"], np.float32) / 1000 for row in ROWS)
    for frame in first:
        np.testing.assert_allclose(frame.joints_m, [left, right], atol=1e-6)
        assert frame.is_live.tolist() == [True, True]
    for frame in second:
        assert np.isnan(frame.joints_m[0]).all() and frame.is_live.tolist() == [False, True]


def test_a_lost_hand_is_nan_and_never_zeros() -> None:
    for frame in two_episodes()[1]:
        assert np.isnan(frame.joints_m[0]).all() and np.isnan(frame.age_s[0])


def test_a_held_hand_stays_where_it_was_and_grows_old() -> None:
    sampler = EpisodeSampler(10, 1.0)
    sampler.take(moment(seen(ROWS[0])))
    for ms in (40, 100, 160, 200):
        sampler.take(moment(seen(ROWS[0], is_live=False), now_ns=NOW_NS + ms * MS))

    (frames,) = sampler.finish()

    assert [frame.is_live[0] for frame in frames] == [True, False, False]
    ages = [frame.age_s[0] for frame in frames]
    start_s = (NOW_NS - SAMPLE_NS) / 1e9
    assert ages == pytest.approx([start_s, start_s + 0.1, start_s + 0.2], abs=1e-6)


def test_a_restart_begins_a_new_episode() -> None:
    sampler = EpisodeSampler(10, 5.0)
    sampler.take(moment(seen(ROWS[0])))
    sampler.take(moment(seen(ROWS[0]), now_ns=NOW_NS + 150 * MS))
    sampler.take(dataclasses.replace(moment(seen(ROWS[0]), now_ns=NOW_NS + 250 * MS), is_restart=True))

    assert [len(frames) for frames in sampler.finish()] == [2, 1]


def test_no_hand_is_no_episode_and_what_is_empty_at_the_end_is_left_out() -> None:
    nothing, something = EpisodeSampler(10, 5.0), EpisodeSampler(10, 5.0)
    nothing.take(moment())
    nothing.take(moment(now_ns=NOW_NS + 10**9))
    something.take(moment(seen(ROWS[0])))
    for ms in (110, 1000):
        something.take(moment(now_ns=NOW_NS + ms * MS))

    assert nothing.finish() == []
    assert [len(frames) for frames in something.finish()] == [2]


def test_the_state_has_a_name_for_each_number() -> None:
    assert len(STATE_NAMES) == len(set(STATE_NAMES)) == 126
    assert STATE_NAMES[63] == "right_wrist_x" and STATE_NAMES[-1] == "right_little_tip_z"


@pytest.mark.parametrize(("fps", "gap_s"), [(0, 1.0), (241, 1.0), (30, 0.0), (30, float("nan"))])
def test_a_rate_or_gap_that_cannot_be_is_refused(fps: int, gap_s: float) -> None:
    with pytest.raises(ConfigError, match="frames a second"):
        EpisodeSampler(fps, gap_s)


def test_files_are_those_of_the_format(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed; make test-adapters runs this with it")

    check_pyarrow_files(write_two_episodes(tmp_path / "set"))


def test_without_an_episode_nothing_is_written(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed; make test-adapters runs this with it")
    from clients.lerobot_files import write_dataset

    with pytest.raises(ConfigError, match="no hand arrived"):
        write_dataset(tmp_path / "set", [], 30, "wave")
    assert list(tmp_path.iterdir()) == []
