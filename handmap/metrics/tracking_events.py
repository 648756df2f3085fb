"""Events in a sequence of tracked hands: crossings, hands leaving view, hands entering view.

`carried` is the result of `handmap.metrics.matching.match_hands` for each frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from handmap.metrics.matching import MIN_IGNORED_JOINTS, GroundTruthHand, TrackedFrame
from handmap.tracking.track import cube_center
from handmap.types.values import HandPose

AROUND_FRAMES = 10  # a third of a second before and after a crossing, the hands are clear of each other


@dataclass(frozen=True)
class Crossing:
    """Whether both hands kept their IDs, and whether both had to be found throughout."""

    is_kept: bool
    is_seen: bool


def find_crossings(
    frames: Sequence[TrackedFrame], carried: Sequence[dict[int, HandPose]], max_hands: int
) -> list[Crossing]:
    """Each time one of two hands passes the other along the image's x axis and stays there.

    IDs are compared AROUND_FRAMES before and after, or at the nearest frame beyond in which the hand is found. A crossing
    before or after which a hand is not visible does not count; a single-hand tracker need only keep the hand it had.
    """
    found: list[Crossing] = []
    order = [_order(frame.truth) for frame in frames]
    at = AROUND_FRAMES
    while at < len(frames) - AROUND_FRAMES:
        if order[at - 1] * order[at] < 0 and order[at - AROUND_FRAMES] * order[at + AROUND_FRAMES] < 0:
            found += _judge_crossing(frames, carried, at, max_hands)
            at += AROUND_FRAMES
        else:
            at += 1
    return found


def frames_to_loss(frames: Sequence[TrackedFrame], carried: Sequence[dict[int, HandPose]], hand_id: int) -> list[int]:
    """For each time a tracked hand leaves view: frames in which it was still reported, 0 if it was absent at once."""
    counts: list[int] = []
    is_counting = was_followed = False
    for frame, pairs in zip(frames, carried, strict=True):
        is_there = any(hand.hand_id == hand_id and hand.seen_joints >= MIN_IGNORED_JOINTS for hand in frame.truth)
        if is_there:
            is_counting, was_followed = False, hand_id in pairs
            continue
        if was_followed:
            counts.append(0)
            is_counting, was_followed = True, False
        is_counting = is_counting and hand_id in pairs
        if is_counting:
            counts[-1] += 1
    return counts


def frames_to_entry(frames: Sequence[TrackedFrame], carried: Sequence[dict[int, HandPose]], hand_id: int) -> list[int]:
    """For each time a hand becomes required: frames until it is found, 0 if at once; all of them if it never is."""
    counts: list[int] = []
    is_waiting = was_demanded = False
    for frame, pairs in zip(frames, carried, strict=True):
        must_detect = frame.requires(hand_id)
        if must_detect and not was_demanded:
            counts.append(0)
            is_waiting = True
        is_waiting = is_waiting and must_detect and hand_id not in pairs
        if is_waiting:
            counts[-1] += 1
        was_demanded = must_detect
    return counts


def _judge_crossing(
    frames: Sequence[TrackedFrame], carried: Sequence[dict[int, HandPose]], at: int, max_hands: int
) -> list[Crossing]:
    """The crossing at a frame; None if a hand is not visible before or after."""
    before = range(at - AROUND_FRAMES, max(at - 2 * AROUND_FRAMES, 0) - 1, -1)
    after = range(at + AROUND_FRAMES, min(at + 2 * AROUND_FRAMES, len(frames) - 1) + 1)
    ids = [hand.hand_id for hand in frames[at].truth]
    if not all(any(frames[one].requires(hand) for one in span) for span in (before, after) for hand in ids):
        return []
    was = {hand: _id_of(carried, before, hand) for hand in ids}
    had = [hand for hand in ids if was[hand] is not None]
    is_kept = len(had) >= min(len(ids), max_hands) and all(_id_of(carried, after, hand) == was[hand] for hand in had)
    is_seen = all(
        frames[one].requires(hand) for one in range(at - AROUND_FRAMES, at + AROUND_FRAMES + 1) for hand in ids
    )
    return [Crossing(is_kept, is_seen)]


def _id_of(carried: Sequence[dict[int, HandPose]], span: range, hand_id: int) -> int | None:
    """The ID under which a hand is first found in a span of frames."""
    return next((carried[at][hand_id].track_id for at in span if hand_id in carried[at]), None)


def _order(truth: tuple[GroundTruthHand, ...]) -> float:
    """Positive if the first of two hands is right of the second in the image, negative if left; 0 without two hands."""
    if len(truth) != 2:
        return 0.0
    first, second = (cube_center(hand.xyz_camera_mm) for hand in truth)
    return float(first[0] / first[2] - second[0] / second[2])
