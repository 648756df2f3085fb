"""How well pinches are told on people who pinch: by the fitted body and, beside it, by thresholds on the measured joints alone."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from handmap.bundle.manifest import read_bundle
from handmap.engines.factory import open_engines
from handmap.skeleton.body import Bodies, fit_bodies
from handmap.skeleton.gestures import Pinches, pinch
from handmap.skeleton.memory import BodyState
from handmap.tracking.tracker_settings import TrackingConfig, tracker_settings
from handmap.types.arrays import Bool, Int64
from training.hand.hand_model import HandShape, load_hand_asset

from .skeleton_motion import (
    BUNDLE,
    FIRST_PERSON,
    FPS,
    PEOPLE,
    HandSequence,
    draw_person,
    person_random,
    tracked,
    with_network,
    with_noise,
)
from .skeleton_pinch_motion import is_pinching, length_scale, pinch_in_turn

RENDERED_PEOPLE = 6
LATE_FRAMES = 5  # one that is seen so soon after the pads have parted is that pinch still
MIRRORED = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class PinchCounts:
    """Per finger, index to little, (4,) each: frames true, seen and both; pinches true and found, times seen, and how many of those
    rightly; switches; frames from touch to seen and from parting to the end, summed over found ones."""

    true_frames: Int64
    seen_frames: Int64
    both_frames: Int64
    true_pinches: Int64
    found_pinches: Int64
    seen_pinches: Int64
    right_pinches: Int64
    switches: Int64
    late_frames: Int64
    lasting_frames: Int64


def measure_pinch() -> dict[str, Any]:
    """Over people who pinch with both hands at once, with errors like the network's."""
    seen: list[dict[str, PinchCounts]] = []
    for number in range(PEOPLE):
        random = person_random(FIRST_PERSON + number)
        shape = draw_person(load_hand_asset(), number, random)
        hands = [with_noise(list(pinch_in_turn(shape, random)), random) for _ in range(2)]
        seen += count_seen(shape, hands)
    return {way: pinch_figures([one[way] for one in seen]) for way in seen[0]}


def measure_pinch_network() -> dict[str, Any]:
    """Over fewer people who pinch with the right hand, with the shipped network's own errors."""
    bundle = read_bundle(BUNDLE)
    settings = tracker_settings(bundle, TrackingConfig("right", assume_hand_present=True))
    seen: list[dict[str, PinchCounts]] = []
    with open_engines(bundle) as engines:
        for number in range(RENDERED_PEOPLE):
            random = person_random(FIRST_PERSON + number)
            shape = draw_person(load_hand_asset(), number, random)
            moments = list(pinch_in_turn(shape, random))
            seen += count_seen(shape, [with_network(shape, moments, engines, settings, random)[0]])
    return {way: pinch_figures([one[way] for one in seen]) for way in seen[0]}


def count_seen(shape: HandShape, hands: list[HandSequence]) -> list[dict[str, PinchCounts]]:
    """What is seen of each hand of a person, a right one and perhaps a left one, by each way of telling."""
    fitted = list(_follow(hands))
    measured = [_measured(bodies, hands, frame) for frame, bodies in enumerate(fitted)]
    ways = {"fitted": _seen(fitted), "measured": _seen(measured), "measured_without_hysteresis": _seen_alone(measured)}
    counts = []
    for row, hand in enumerate(hands):
        is_true = is_pinching(hand.truth_mm[: len(fitted)], length_scale(shape))
        counts.append({way: count_pinches(is_true, seen[:, row]) for way, seen in ways.items()})
    return counts


def count_pinches(is_true: Bool, is_seen: Bool) -> PinchCounts:
    """What was seen (T, 4) of the true pinches (T, 4) of one hand."""
    return PinchCounts(*np.array([_count(*of_finger) for of_finger in zip(is_true.T, is_seen.T, strict=True)]).T)


def pinch_figures(counts: list[PinchCounts]) -> dict[str, list[float]]:
    """Of index to little, then of all: precision and recall of frames and of pinches, flicker, and delays in ms."""
    sums = [np.sum([getattr(one, field.name) for one in counts], axis=0) for field in fields(PinchCounts)]
    of = PinchCounts(*(np.append(each, each.sum()) for each in sums))
    figures = {
        "pinches": of.true_pinches,
        "pinch_precision": of.right_pinches / of.seen_pinches,
        "pinch_recall": of.found_pinches / of.true_pinches,
        "frame_precision": of.both_frames / of.seen_frames,
        "frame_recall": of.both_frames / of.true_frames,
        "times_seen_of_found_one": of.right_pinches / of.found_pinches,
        "switches_per_true_one": of.switches / (2 * of.true_pinches),
        "late_ms": 1e3 / FPS * of.late_frames / of.found_pinches,
        "lasting_ms": 1e3 / FPS * of.lasting_frames / of.found_pinches,
    }
    return {name: np.round(values, 3).tolist() for name, values in figures.items()}


def _count(is_true: Bool, is_seen: Bool) -> list[int]:
    true_runs, seen_runs = _runs(is_true), _runs(is_seen)
    found = [(start, end) for start, end in true_runs if is_seen[start:end].any()]
    right = sum(bool(is_true[max(start - LATE_FRAMES, 0) : end].any()) for start, end in seen_runs)
    late = sum(int(is_seen[start:].argmax()) for start, _ in found)
    lasting = sum(int(np.append(~is_seen[end:], True).argmax()) for _, end in found)
    switches = int(np.abs(np.diff(is_seen.astype(int))).sum())
    frames = [int(flags.sum()) for flags in (is_true, is_seen, is_true & is_seen)]
    return [*frames, len(true_runs), len(found), len(seen_runs), right, switches, late, lasting]


def _runs(is_on: Bool) -> list[tuple[int, int]]:
    """The first frame and the one after the last of each time that it is on."""
    edges = np.diff(np.concatenate([[0], is_on.astype(int), [0]]))
    return list(zip(np.flatnonzero(edges > 0).tolist(), np.flatnonzero(edges < 0).tolist(), strict=True))


def _follow(hands: list[HandSequence]) -> Iterator[Bodies]:
    """The fitted hands of each frame; the second one is mirrored to be a left hand."""
    state = BodyState()
    for frame in range(min(len(hand.measured_mm) for hand in hands)):
        poses = [
            tracked(hand.measured_mm[frame] * (MIRRORED if is_left else 1), hand.expected_mm[frame], frame, is_left)
            for hand, is_left in zip(hands, (False, True), strict=False)
        ]
        bodies, state = fit_bodies(poses, state)
        assert bodies is not None
        yield bodies


def _measured(bodies: Bodies, hands: list[HandSequence], frame: int) -> Bodies:
    """The same with the measured joints and errors in place of the fitted ones."""
    joints = np.stack([hand.measured_mm[frame] for hand in hands])
    errors = np.stack([hand.expected_mm[frame] for hand in hands])
    return replace(bodies, hands=replace(bodies.hands, joints_mm=joints), joint_errors_mm=errors)


def _seen(frames: list[Bodies]) -> Bool:
    """Which pinches (T, N, 4) are seen on."""
    seen: list[Pinches] = []
    for bodies in frames:
        seen.append(pinch(bodies, seen[-1] if seen else None))
    return np.stack([one.is_on for one in seen])


def _seen_alone(frames: list[Bodies]) -> Bool:
    """The same, each frame without the one before."""
    return np.stack([pinch(bodies, None).is_on for bodies in frames])
