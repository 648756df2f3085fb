"""Crossings, losses and entries, on constructed sequences."""

from collections.abc import Callable

import pytest

from handmap.metrics.matching import TrackedFrame, match_hands
from handmap.metrics.tracking_events import Crossing, find_crossings, frames_to_entry, frames_to_loss
from handmap.types.values import HandPose

from .test_tracking_metrics import frame, hand, pose

FRAMES = 40
Ids = Callable[[int], tuple[int | None, int | None]]


def crossing_story(ids: Ids, seen: Callable[[int], int] = lambda at: 21) -> list[TrackedFrame]:
    """Two hands that swap sides over FRAMES frames, 200 mm behind one another; ids(at) are those that are reported."""
    frames = []
    for at in range(FRAMES):
        x_mm = 200.0 * (at / (FRAMES - 1) - 0.5)
        truth = [hand(1, x_mm, z_mm=400), hand(2, -x_mm, seen(at), z_mm=600)]
        said = zip(ids(at), ((x_mm, 400.0), (-x_mm, 600.0)), strict=True)
        frames.append(frame(truth, [pose(one, x, z_mm=z) for one, (x, z) in said if one is not None]))
    return frames


def crossings(frames: list[TrackedFrame], max_hands: int = 2) -> list[Crossing]:
    return find_crossings(frames, [match_hands(one) for one in frames], max_hands)


def test_ids_that_stay_are_kept() -> None:
    assert crossings(crossing_story(lambda at: (1, 2))) == [Crossing(is_kept=True, is_seen=True)]


@pytest.mark.parametrize("after", [(2, 1), (1, 3), (1, None)])
def test_ids_that_swap_or_change_or_end_are_not(after: tuple[int | None, int | None]) -> None:
    (found,) = crossings(crossing_story(lambda at: (1, 2) if at < FRAMES // 2 else after))

    assert not found.is_kept


def test_an_id_can_pause_while_its_hand_is_occluded() -> None:
    def is_hidden(at: int) -> bool:
        return abs(at - FRAMES // 2) < 5

    frames = crossing_story(lambda at: (1, None if is_hidden(at) else 2), lambda at: 0 if is_hidden(at) else 21)

    assert crossings(frames) == [Crossing(is_kept=True, is_seen=False)]


def test_a_single_hand_tracker_need_only_keep_the_hand_it_had() -> None:
    same = crossing_story(lambda at: (1, None))
    jumped = crossing_story(lambda at: (1, None) if at < FRAMES // 2 else (None, 1))

    assert [one.is_kept for one in crossings(same, 1)] == [True]
    assert [one.is_kept for one in crossings(jumped, 1)] == [False]
    assert [one.is_kept for one in crossings(same, 2)] == [False]


def test_hands_that_do_not_stay_crossed_have_not_crossed() -> None:
    def place(at: int) -> float:
        return 5.0 if at == 20 else -30.0

    truth = [[hand(1, place(at), z_mm=400), hand(2, -place(at), z_mm=600)] for at in range(FRAMES)]

    assert crossings([frame(hands, []) for hands in truth]) == []


def test_a_crossing_after_which_a_hand_is_never_seen_does_not_count() -> None:
    assert crossings(crossing_story(lambda at: (1, 2), lambda at: 21 if at < FRAMES // 2 else 0)) == []


def loss_story(seen: list[int], found: list[bool]) -> tuple[list[TrackedFrame], list[dict[int, HandPose]]]:
    frames = [frame([hand(1, 0, joints)], [pose(1, 0)] if is_found else [])
              for joints, is_found in zip(seen, found, strict=True)]  # fmt: skip
    return frames, [match_hands(one) for one in frames]


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ([True, True, False, False, True], [0]),
        ([True, True, True, False, True], [1]),
        ([True, True, True, True, True], [2]),
        ([True, False, False, False, True], []),  # it was not followed out of sight
    ],
)
def test_frames_of_a_hand_out_of_sight_that_is_still_reported(found: list[bool], wanted: list[int]) -> None:
    assert frames_to_loss(*loss_story([21, 21, 0, 0, 21], found), hand_id=1) == wanted


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ([True, False, True, True, True], [0, 0]),
        ([False, True, False, False, True], [1, 1]),
        ([True, True, False, False, False], [0, 2]),  # never found again
    ],
)
def test_frames_until_a_hand_that_comes_into_sight_is_found(found: list[bool], wanted: list[int]) -> None:
    assert frames_to_entry(*loss_story([21, 21, 5, 21, 21], found), hand_id=1) == wanted
