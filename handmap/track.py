"""Tracks: what is remembered of a hand from one frame to the next, and where it will be looked for."""

from dataclasses import dataclass, replace

import numpy as np

from handmap.arrays import Float32

MEMORY_S = 0.1  # older motion says nothing of where a hand is now
TOP_SPEED_MM_S = 4000.0  # a fast wave; anything above it is a jump of the estimate, not of the hand
NEW_SHARE = 0.6  # weight of the newest displacement in the velocity


@dataclass(frozen=True)
class Track:
    """One hand: its cube centre (3,) and velocity (3,) in the camera frame, mm and mm/s, at the time of its last frame."""

    track_id: int
    centre_mm: Float32
    velocity_mm_s: Float32
    capture_ns: int
    frames: int


@dataclass(frozen=True)
class Tracks:
    """All hands tracked now, and the id that the next new one gets; ids are never used again."""

    active: tuple[Track, ...]
    next_id: int


NO_TRACKS = Tracks((), 1)


def cube_centre(xyz_camera_mm: Float32) -> Float32:
    """The centre (3,) of the bounding box of the joints (J, 3): where the cube of the next frame is put."""
    low, high = xyz_camera_mm.min(axis=0), xyz_camera_mm.max(axis=0)
    centre: Float32 = ((low + high) / 2).astype(np.float32)
    return centre


def predicted_centre(track: Track, capture_ns: int) -> Float32:
    """Where the cube is put in a frame captured at capture_ns: straight on from the last, for at most MEMORY_S."""
    elapsed_s = min(max((capture_ns - track.capture_ns) / 1e9, 0.0), MEMORY_S)
    centre: Float32 = (track.centre_mm + track.velocity_mm_s * np.float32(elapsed_s)).astype(np.float32)
    return centre


def start_track(track_id: int, centre_mm: Float32, capture_ns: int) -> Track:
    """A hand just found, at rest as far as is known."""
    return Track(track_id, centre_mm, np.zeros(3, np.float32), capture_ns, frames=1)


def continue_track(track: Track, centre_mm: Float32, capture_ns: int) -> Track:
    """The track with the newest centre; the velocity follows it and forgets after a gap or a clock that stood still."""
    elapsed_s = (capture_ns - track.capture_ns) / 1e9
    velocity = np.zeros(3, np.float32)
    if 0 < elapsed_s <= MEMORY_S:
        newest = (centre_mm - track.centre_mm) / np.float32(elapsed_s)
        if float(np.linalg.norm(newest)) <= TOP_SPEED_MM_S:
            velocity = (NEW_SHARE * newest + (1 - NEW_SHARE) * track.velocity_mm_s).astype(np.float32)
    return replace(track, centre_mm=centre_mm, velocity_mm_s=velocity, capture_ns=capture_ns, frames=track.frames + 1)
