"""Tracking metrics over sequences: recall, false positives, ID switches, handedness accuracy, joint errors and bone variation.

The one definition for every tracker that returns poses per frame; a single-hand tracker is scored on one hand only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from handmap.metrics.bone_variation import bone_variation
from handmap.metrics.matching import TrackedFrame, match_hands
from handmap.metrics.pose_error import joint_errors_mm
from handmap.metrics.tracking_events import find_crossings, frames_to_entry, frames_to_loss
from handmap.types.arrays import Float32, Float64
from handmap.types.values import HandPose

YOUNG_FRAMES = 10  # age up to which a track's handedness is not scored
MIN_BONE_FRAMES = 30  # bones vary little over a few frames, whatever the tracker; a second


@dataclass
class TrackCounts:
    """Counts over sequences; `track_summary` turns them into shares."""

    frames: int = 0
    hands: int = 0  # visible hands; the tracker must find those that are demanded
    demanded: int = 0
    found: int = 0
    well_seen: int = 0
    well_seen_found: int = 0
    published: int = 0  # excluding ignored hands
    false: int = 0
    switches: int = 0
    crossings: int = 0
    kept: int = 0
    seen_crossings: int = 0  # with both hands required throughout
    seen_kept: int = 0
    sides: int = 0
    right_sides: int = 0
    tracks: int = 0
    right_tracks: int = 0
    errors_mm: list[Float64] = field(default_factory=list)  # (21,) of each found hand
    raw_errors_mm: list[Float64] = field(default_factory=list)  # of the network's own joints, where they were kept
    bone_variations: list[Float64] = field(default_factory=list)  # (20,) of each track on one hand
    to_loss: list[int] = field(default_factory=list)
    to_entry: list[int] = field(default_factory=list)

    def add(self, other: "TrackCounts") -> None:
        """Adds the counts of another sequence."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def score_tracks(frames: Sequence[TrackedFrame], max_hands: int) -> TrackCounts:
    """Counts of one sequence for a tracker of at most `max_hands` hands."""
    carried = [match_hands(frame) for frame in frames]
    counts = TrackCounts(frames=len(frames))
    for frame, pairs in zip(frames, carried, strict=True):
        _count_found(frame, pairs, max_hands, counts)
    _count_sides(frames, carried, counts)
    _count_switches(frames, carried, counts)
    _measure_bones(frames, carried, counts)
    for crossing in find_crossings(frames, carried, max_hands):
        counts.crossings += 1
        counts.kept += crossing.is_kept
        counts.seen_crossings += crossing.is_seen
        counts.seen_kept += crossing.is_kept and crossing.is_seen
    for hand_id in sorted({hand.hand_id for frame in frames for hand in frame.truth}):
        counts.to_loss += frames_to_loss(frames, carried, hand_id)
        if max_hands > 1:  # which of two hands a single-hand tracker should pick is undefined
            counts.to_entry += frames_to_entry(frames, carried, hand_id)
    return counts


def sum_counts(many: Iterable[TrackCounts]) -> TrackCounts:
    """The sum of the counts of many sequences."""
    total = TrackCounts()
    for counts in many:
        total.add(counts)
    return total


def track_summary(counts: TrackCounts) -> dict[str, float | int | None]:
    """Shares and means of counts; None where there was nothing to count.

    detection_rate is over the hands the tracker must find, found_of_all over all visible hands, found_of_well_seen over those
    with two thirds of their joints visible; false_hands is over published hands, ids_kept over crossings,
    handedness_accuracy over found hands with a track older than YOUNG_FRAMES; frames_to_* are means. bone_variation is of
    the mean bone and bone_variation_max of the most varying one, as shares of their lengths, both means over tracks.
    """
    errors = np.concatenate(counts.errors_mm) if counts.errors_mm else None
    bones = np.stack(counts.bone_variations) if counts.bone_variations else None
    return {
        "detection_rate": _share(counts.found, counts.demanded),
        "found_of_all": _share(counts.found, counts.hands),
        "found_of_well_seen": _share(counts.well_seen_found, counts.well_seen),
        "false_hands": counts.false / counts.published if counts.published else 0.0,
        "false_hands_per_frame": _share(counts.false, counts.frames),
        "id_switches": counts.switches,
        "ids_kept": _share(counts.kept, counts.crossings),
        "ids_kept_both_seen": _share(counts.seen_kept, counts.seen_crossings),
        "crossings": counts.crossings,
        "crossings_both_seen": counts.seen_crossings,
        "handedness_accuracy": _share(counts.right_sides, counts.sides),
        "handedness_accuracy_tracks": _share(counts.right_tracks, counts.tracks),
        "mean_mm": None if errors is None else float(errors.mean()),
        "median_mm": None if errors is None else float(np.median(errors)),
        "raw_mean_mm": float(np.mean(counts.raw_errors_mm)) if counts.raw_errors_mm else None,
        "bone_variation": None if bones is None else float(bones.mean()),
        "bone_variation_max": None if bones is None else float(bones.max(axis=1).mean()),
        "frames_to_loss": float(np.mean(counts.to_loss)) if counts.to_loss else None,
        "frames_to_entry": float(np.mean(counts.to_entry)) if counts.to_entry else None,
        "hands": counts.hands,
        "frames": counts.frames,
    }


def _count_found(frame: TrackedFrame, pairs: dict[int, HandPose], max_hands: int, counts: TrackCounts) -> None:
    demanded = [hand for hand in frame.truth if hand.must_detect]
    found = [hand for hand in demanded if hand.hand_id in pairs]
    neither = sum(hand.is_ignored and hand.hand_id in pairs for hand in frame.truth)
    counts.hands += len(demanded)
    counts.demanded += min(len(demanded), max_hands)
    counts.found += len(found)
    counts.well_seen += sum(hand.is_well_seen for hand in demanded)
    counts.well_seen_found += sum(hand.is_well_seen for hand in found)
    counts.published += len(frame.poses) - neither
    counts.false += len(frame.poses) - neither - len(found)
    counts.errors_mm += [joint_errors_mm(pairs[hand.hand_id].xyz_camera_mm, hand.xyz_camera_mm) for hand in found]
    raw = [(pairs[hand.hand_id].raw_xyz_camera_mm, hand.xyz_camera_mm) for hand in found]
    counts.raw_errors_mm += [joint_errors_mm(joints, truth) for joints, truth in raw if joints is not None]


def _count_sides(frames: Sequence[TrackedFrame], carried: Sequence[dict[int, HandPose]], counts: TrackCounts) -> None:
    """Handedness of found hands, per frame once their track is older than YOUNG_FRAMES, and by majority over each such track."""
    age: dict[int, int] = {}
    is_right: dict[int, list[bool]] = {}  # by track
    for frame, pairs in zip(frames, carried, strict=True):
        for pose in frame.poses:
            age[pose.track_id] = age.get(pose.track_id, 0) + 1
        for hand in frame.truth:
            if hand.must_detect and hand.hand_id in pairs:
                found = pairs[hand.hand_id]
                if age[found.track_id] > YOUNG_FRAMES:
                    is_right.setdefault(found.track_id, []).append(found.handedness is hand.handedness)
    counts.sides += sum(len(said) for said in is_right.values())
    counts.right_sides += sum(sum(said) for said in is_right.values())
    counts.tracks += len(is_right)
    counts.right_tracks += sum(2 * sum(said) > len(said) for said in is_right.values())


def _count_switches(
    frames: Sequence[TrackedFrame], carried: Sequence[dict[int, HandPose]], counts: TrackCounts
) -> None:
    """ID switches: a hand changes ID while visible throughout, or at any time takes the ID the other hand had last."""
    last: dict[int, int] = {}  # ids by hand
    is_unbroken: dict[int, bool] = {}
    for frame, pairs in zip(frames, carried, strict=True):
        before = dict(last)
        for hand in frame.truth:
            which = hand.hand_id
            is_unbroken[which] = is_unbroken.get(which, False) and hand.must_detect
            if which not in pairs:
                continue
            now = pairs[which].track_id
            was_others = any(one == now for other, one in before.items() if other != which)
            if before.get(which) != now:
                counts.switches += was_others or is_unbroken[which]
            last[which], is_unbroken[which] = now, True


def _measure_bones(frames: Sequence[TrackedFrame], carried: Sequence[dict[int, HandPose]], counts: TrackCounts) -> None:
    """Bone variation of each track that was on one hand for MIN_BONE_FRAMES frames in which the hand had to be found."""
    published: dict[tuple[int, int], list[Float32]] = {}  # joints by hand and track
    for frame, pairs in zip(frames, carried, strict=True):
        for hand in frame.truth:
            if hand.must_detect and hand.hand_id in pairs:
                pose = pairs[hand.hand_id]
                published.setdefault((hand.hand_id, pose.track_id), []).append(pose.xyz_camera_mm)
    long = (joints for joints in published.values() if len(joints) >= MIN_BONE_FRAMES)
    counts.bone_variations += [bone_variation(np.stack(joints)) for joints in long]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
