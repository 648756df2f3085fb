"""What is kept of each track from frame to frame, for as many frames as it may be lost and found again."""

from dataclasses import dataclass, fields

import numpy as np

from handmap.skeleton.body_pose import BodyPose
from handmap.skeleton.hand_shape import SkeletonModel
from handmap.skeleton.hand_size import HandSize, unknown_size
from handmap.types.arrays import Bool, Float64, Int64

REMEMBERED_S = 60.0  # the size of a lost track is kept so long
NEVER_NS = -(10**15)


@dataclass(frozen=True)
class Memory:
    """M tracks: when each was last seen (M,) and its size last compared (M,), CLOCK_MONOTONIC ns; how its last fit went, with its
    misfit (M,), pose as that of a right hand, and size."""

    track_ids: tuple[int, ...]
    is_left: Bool
    seen_ns: Int64
    learned_ns: Int64
    misfit: Float64
    pose: BodyPose
    size: HandSize


@dataclass(frozen=True)
class BodyState:
    """The tracks of the newest frame that had hands, then lost ones, newest first."""

    memory: Memory | None = None


def recall(model: SkeletonModel, state: BodyState, ids: tuple[int, ...]) -> Memory:
    """The memory of these tracks; a new one has no pose, and the size of the track that is best known, as hands of a person are alike."""
    known = state.memory
    if known is not None and known.track_ids == ids:
        return known
    if known is None:
        return _joined([_unknown(model, one, unknown_size(model, 1)) for one in ids])
    likely = int(np.argmax(known.size.seconds))
    parts = []
    for one in ids:
        if one in known.track_ids:
            parts.append(_rows(known, [known.track_ids.index(one)]))
        else:
            parts.append(_unknown(model, one, _taken(known.size, [likely])))
    return _joined(parts)


def remember(state: BodyState, newest: Memory) -> BodyState:
    """The state after a frame with these tracks; those lost for too long are forgotten."""
    known = state.memory
    if known is None or known.track_ids == newest.track_ids:
        return BodyState(newest)
    oldest_ns = int(newest.seen_ns.max()) - round(REMEMBERED_S * 1e9)
    lost = [
        row
        for row, one in enumerate(known.track_ids)
        if one not in newest.track_ids and known.seen_ns[row] >= oldest_ns
    ]
    return BodyState(_joined([newest, _rows(known, lost)]) if lost else newest)


def _unknown(model: SkeletonModel, track_id: int, size: HandSize) -> Memory:
    pose = BodyPose(np.eye(3)[None], np.zeros((1, 3)), model.pose_mean[None])
    never = np.full(1, NEVER_NS)
    return Memory((track_id,), np.zeros(1, bool), never, never, np.zeros(1), pose, size)


def _rows(memory: Memory, rows: list[int]) -> Memory:
    return Memory(
        tuple(memory.track_ids[row] for row in rows),
        memory.is_left[rows],
        memory.seen_ns[rows],
        memory.learned_ns[rows],
        memory.misfit[rows],
        memory.pose.rows(rows),
        _taken(memory.size, rows),
    )


def _taken(size: HandSize, rows: list[int]) -> HandSize:
    return HandSize(*(getattr(size, field.name)[rows] for field in fields(size)))


def _joined(parts: list[Memory]) -> Memory:
    def pile(values: list[Float64]) -> Float64:
        return np.concatenate(values)

    sizes = [part.size for part in parts]
    return Memory(
        tuple(one for part in parts for one in part.track_ids),
        np.concatenate([part.is_left for part in parts]),
        np.concatenate([part.seen_ns for part in parts]),
        np.concatenate([part.learned_ns for part in parts]),
        pile([part.misfit for part in parts]),
        BodyPose(
            pile([part.pose.rotations for part in parts]),
            pile([part.pose.positions_mm for part in parts]),
            pile([part.pose.angles for part in parts]),
        ),
        HandSize(*(pile([getattr(size, field.name) for size in sizes]) for field in fields(HandSize))),
    )
