"""Tracks: the state of a hand from one frame to the next, its predicted position, handedness and size."""

from dataclasses import dataclass, replace

import numpy as np

from handmap.types.arrays import Float32
from handmap.types.joints import KNUCKLES, WRIST
from handmap.types.values import Handedness, HandRoi

MAX_PREDICTION_S = 0.1  # dead reckoning beyond this says nothing about where a hand is
MAX_SPEED_MM_S = 4000.0  # a fast wave; anything faster is a jump of the estimate, not of the hand
VELOCITY_EMA_ALPHA = 0.6  # weight of the newest displacement in the velocity
MAX_HANDEDNESS_LOGIT = 12.0  # bounded, so that a second of contrary evidence can always reverse it
HANDEDNESS_DECAY = 0.97  # fraction of the accumulated log odds kept from frame to frame
MAX_FRAME_LOGIT = 2.0  # one estimate contributes odds of at most 7 to 1: errors on similar poses are correlated
SIZE_FRAMES = 60  # frames to average a hand's size over: one to two seconds
PALM_MM = 99.2  # mean distance from the wrist to the four knuckles of the hand that the model was trained with


@dataclass(frozen=True)
class Track:
    """One hand: its cube center (3,) and velocity (3,) in the camera frame, mm and mm/s, at the time of its last frame.

    right_logit is the log odds of a right hand; palm_mm the mean palm length over the frames so far.
    """

    track_id: int
    center_mm: Float32
    velocity_mm_s: Float32
    capture_ns: int
    frames: int
    right_logit: float = 0.0
    palm_mm: float = PALM_MM
    fitted_palm_mm: float | None = None  # that of the fitted hand, if there is one
    presence_logit: float = 0.0  # EMA of the presence logit whenever the palm graph ran; starts neutral

    @property
    def handedness(self) -> Handedness:
        """The more likely hand; right if there is no evidence."""
        return Handedness.RIGHT if self.right_logit >= 0 else Handedness.LEFT


@dataclass(frozen=True)
class Tracks:
    """All tracked hands, recently lost ones, and the ID for the next new one.

    IDs are never reused. proposals are the cubes of the candidates that this frame's search for a hand came to, if there was one.
    """

    active: tuple[Track, ...]
    next_id: int
    occluded: tuple[Track, ...] = ()
    missing: int = 0  # consecutive frames with a hand missing
    proposals: tuple[HandRoi, ...] = ()


NO_TRACKS = Tracks((), 1)


def cube_center(xyz_camera_mm: Float32) -> Float32:
    """The center (3,) of the bounding box of the joints (J, 3): where the next frame's cube is placed."""
    low, high = xyz_camera_mm.min(axis=0), xyz_camera_mm.max(axis=0)
    center: Float32 = ((low + high) / 2).astype(np.float32)
    return center


def palm_length_mm(xyz_camera_mm: Float32) -> float:
    """Mean distance of the four fingers' knuckles from the wrist: the size of a hand, independent of its pose; joints are in hand21 order."""
    return float(np.linalg.norm(xyz_camera_mm[list(KNUCKLES[1:])] - xyz_camera_mm[WRIST], axis=1).mean())


def predicted_center(track: Track, capture_ns: int) -> Float32:
    """The cube center predicted for capture_ns by dead reckoning: constant velocity, for at most MAX_PREDICTION_S."""
    elapsed_s = min(max((capture_ns - track.capture_ns) / 1e9, 0.0), MAX_PREDICTION_S)
    center: Float32 = (track.center_mm + track.velocity_mm_s * np.float32(elapsed_s)).astype(np.float32)
    return center


def start_track(track_id: int, center_mm: Float32, capture_ns: int) -> Track:
    """A new track, with zero velocity."""
    return Track(track_id, center_mm, np.zeros(3, np.float32), capture_ns, frames=1)


def update_track(track: Track, center_mm: Float32, capture_ns: int) -> Track:
    """The track with the newest center; the velocity is an EMA, reset after a gap or if the clock stood still."""
    elapsed_s = (capture_ns - track.capture_ns) / 1e9
    velocity = np.zeros(3, np.float32)
    if 0 < elapsed_s <= MAX_PREDICTION_S:
        newest = (center_mm - track.center_mm) / np.float32(elapsed_s)
        if float(np.linalg.norm(newest)) <= MAX_SPEED_MM_S:
            velocity = (VELOCITY_EMA_ALPHA * newest + (1 - VELOCITY_EMA_ALPHA) * track.velocity_mm_s).astype(np.float32)
    return replace(track, center_mm=center_mm, velocity_mm_s=velocity, capture_ns=capture_ns, frames=track.frames + 1)


def update_handedness_and_size(track: Track, right_logit: float, xyz_camera_mm: Float32) -> Track:
    """The track after an estimate with these log odds of a right hand and these joints (J, 3), mm.

    Handedness is a vote of all frames so far: a sum of log odds in which older frames count less.
    """
    newest = min(max(right_logit, -MAX_FRAME_LOGIT), MAX_FRAME_LOGIT)
    belief = min(max(HANDEDNESS_DECAY * track.right_logit + newest, -MAX_HANDEDNESS_LOGIT), MAX_HANDEDNESS_LOGIT)
    share = 1 / min(track.frames, SIZE_FRAMES)
    palm_mm = track.palm_mm + share * (palm_length_mm(xyz_camera_mm) - track.palm_mm)
    return replace(track, right_logit=belief, palm_mm=palm_mm)


def scaled_cube_mm(track: Track, cube_mm: float, limits_mm: tuple[float, float]) -> float:
    """The cube side that makes this hand appear as large as the model's own, within the trained range.

    The model's own cube side until the size has been averaged or learned over SIZE_FRAMES frames.
    """
    if track.frames < SIZE_FRAMES:
        return cube_mm
    palm_mm = track.palm_mm if track.fitted_palm_mm is None else track.fitted_palm_mm
    return min(max(cube_mm * palm_mm / PALM_MM, limits_mm[0]), limits_mm[1])
