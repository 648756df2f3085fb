"""The tracker's state as bytes, so that work can begin again where it was: msgpack by msgspec, with a version, and no pickle.

The newest frame's bodies and proposals are left out: they are what the frame's work came to, and the next frame's does not start
from them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import numpy as np

from handmap.skeleton.body_pose import BodyPose
from handmap.skeleton.degrees_of_freedom import ANGLE_COUNT
from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.skeleton.hand_size import HandSize
from handmap.skeleton.kinematics import PARAMETER_COUNT
from handmap.skeleton.memory import NEVER_NS, BodyState, Memory
from handmap.tracking.fitted_hands import FittedHands
from handmap.tracking.smooth import Filters
from handmap.tracking.smooth_bodies import BodyFilter
from handmap.tracking.track import Tracks
from handmap.tracking.tracker import TrackerState
from handmap.types.arrays import Array, Int64
from handmap.types.errors import RecordingError
from handmap.types.intrinsics import Intrinsics
from handmap.types.joints import JOINT_COUNT

STATE_VERSION: Final = 1  # raise it when a field of what is kept is added, removed or means something else
_ARRAY: Final = 1  # msgpack's number for an extension type
_DTYPES: Final = {"?": np.bool_, "i8": np.int64, "f4": np.float32, "f8": np.float64}
_NAMES: Final = {np.dtype(kind): name for name, kind in _DTYPES.items()}


@dataclass(frozen=True)
class _Kept:
    """What is encoded."""

    tracks: Tracks
    memory: Memory | None
    moving: BodyFilter | None
    filters: Filters
    intrinsics: Intrinsics | None


class _Versioned(msgspec.Struct, frozen=True, array_like=True):
    version: int
    kept: msgspec.Raw


def encode_state(state: TrackerState) -> bytes:
    """The state as bytes."""
    fitted = state.fitted
    kept = _Kept(
        replace(state.tracks, proposals=()), fitted.memory.memory, fitted.moving, state.filters, state.intrinsics
    )
    content = msgspec.msgpack.encode(kept, enc_hook=_encode_array)
    return msgspec.msgpack.encode(_Versioned(STATE_VERSION, msgspec.Raw(content)))


def decode_state(content: bytes) -> TrackerState:
    """The state in bytes. Raises RecordingError if they are of another version, or no state."""
    try:
        versioned = msgspec.msgpack.decode(content, type=_Versioned)
        if versioned.version != STATE_VERSION:
            raise RecordingError(
                f"tracker state: found version {versioned.version}, this program reads {STATE_VERSION}; use the version of HandMap that "
                "wrote it, or begin without it by camera.resume: false"
            )
        kept = msgspec.msgpack.decode(versioned.kept, type=_Kept, dec_hook=_as_array, ext_hook=_decode_array)
        for name, value, shape in _shapes(kept):
            if value.shape != shape:
                raise ValueError(f"{name} has shape {value.shape}, wanted {shape}")
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise RecordingError(
            f"tracker state: it is damaged ({error}); copy the recording again, or begin without it by camera.resume: false"
        ) from error
    fitted = FittedHands(None, BodyState(kept.memory), kept.moving)
    return TrackerState(kept.tracks, fitted, kept.filters, kept.intrinsics)


def shift_state(state: TrackerState, by_ns: int) -> TrackerState:
    """The state as if all of its frames had been captured so much later."""
    fitted, memory = state.fitted, state.fitted.memory.memory
    if memory is not None:
        memory = replace(memory, seen_ns=_shifted(memory.seen_ns, by_ns), learned_ns=_shifted(memory.learned_ns, by_ns))
    moving = fitted.moving and replace(fitted.moving, capture_ns=fitted.moving.capture_ns + by_ns)
    tracks = state.tracks
    active, occluded = (
        tuple(replace(track, capture_ns=track.capture_ns + by_ns) for track in group)
        for group in (tracks.active, tracks.occluded)
    )
    return TrackerState(
        replace(tracks, active=active, occluded=occluded),
        FittedHands(fitted.bodies, BodyState(memory), moving),
        tuple(replace(one, capture_ns=one.capture_ns + by_ns) for one in state.filters),
        state.intrinsics,
    )


def _shifted(times_ns: Int64, by_ns: int) -> Int64:
    return np.where(times_ns == NEVER_NS, NEVER_NS, times_ns + by_ns)


def _encode_array(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise NotImplementedError(f"a {type(value).__name__} in the tracker's state")
    shape = ",".join(map(str, value.shape))
    return msgspec.msgpack.Ext(_ARRAY, f"{_NAMES[value.dtype]} {shape}\n".encode() + value.tobytes())


def _decode_array(code: int, data: memoryview) -> Array:
    head, _, content = bytes(data).partition(b"\n")
    name, _, shape = head.decode().partition(" ")
    if code != _ARRAY or name not in _DTYPES:
        raise ValueError(f"{head!r:.60} is no array")
    sides = tuple(int(side) for side in shape.split(",") if side)
    return np.frombuffer(content, _DTYPES[name]).reshape(sides).copy()


def _as_array(kind: type, value: Any) -> Any:
    if not isinstance(value, np.ndarray) or value.dtype != kind.__args__[1].__args__[0]:  # type: ignore[attr-defined]  # of NDArray[...]
        raise ValueError(f"found {getattr(value, 'dtype', type(value).__name__)} instead of {kind}")
    return value


def _shapes(kept: _Kept) -> Iterator[tuple[str, Array, tuple[int, ...]]]:
    """Every array with its name, and the shape that it must have."""
    for track in (*kept.tracks.active, *kept.tracks.occluded):
        yield "center_mm", track.center_mm, (3,)
        yield "velocity_mm_s", track.velocity_mm_s, (3,)
    for one in kept.filters:
        for name in ("raw_mm", "xyz_camera_mm", "velocity_mm_s"):
            yield name, getattr(one, name), (JOINT_COUNT, 3)
    if kept.moving is not None:
        count = len(kept.moving.track_ids)
        yield from _pose_shapes(kept.moving.raw, count)
        yield from _pose_shapes(kept.moving.smoothed, count)
        yield "velocity", kept.moving.velocity, (count, PARAMETER_COUNT)
    if kept.memory is not None:
        count = len(kept.memory.track_ids)
        for name in ("is_left", "seen_ns", "learned_ns", "misfit"):
            yield name, getattr(kept.memory, name), (count,)
        yield from _pose_shapes(kept.memory.pose, count)
        yield from _size_shapes(kept.memory.size, count, load_skeleton_model().shape_count)


def _pose_shapes(pose: BodyPose, count: int) -> Iterator[tuple[str, Array, tuple[int, ...]]]:
    yield "rotations", pose.rotations, (count, 3, 3)
    yield "positions_mm", pose.positions_mm, (count, 3)
    yield "angles", pose.angles, (count, ANGLE_COUNT)


def _size_shapes(size: HandSize, count: int, shapes: int) -> Iterator[tuple[str, Array, tuple[int, ...]]]:
    for name in ("shape", "recent_pull"):
        yield name, getattr(size, name), (count, shapes)
    for name in ("information", "recent_information"):
        yield name, getattr(size, name), (count, shapes, shapes)
    for name in ("seconds", "suspected_s"):
        yield name, getattr(size, name), (count,)
