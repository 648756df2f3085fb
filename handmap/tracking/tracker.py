"""The tracker: what is done to a frame, by the daemon, `handmap bench`, evaluation and calibration alike."""

import math
from dataclasses import dataclass, replace

import numpy as np

from handmap.engines.engine import Engines
from handmap.tracking.evidence import KEEP_EVIDENCE, SURE_EVIDENCE, evidence
from handmap.tracking.look import Clock, Look, look, recentred
from handmap.tracking.palm_view import PalmMap
from handmap.tracking.search import is_hand, map_palms, search
from handmap.tracking.smooth import NO_FILTERS, Filters, extrapolate, smooth
from handmap.tracking.track import (
    NO_TRACKS,
    Track,
    Tracks,
    continue_track,
    observe_hand,
    predicted_centre,
    scaled_cube_mm,
    start_track,
)
from handmap.tracking.tracker_settings import TrackerSettings
from handmap.types.intrinsics import Intrinsics, project
from handmap.types.values import DepthFrame, Handedness, HandPose, View

ONE_HAND_MM = 45.0  # two tracks whose hands are nearer than this follow the same one
GEOMETRY_EVERY = 4  # frames: a hand that the palm graph does not see waits so long, and an empty room costs little
JUDGE_EVERY = 15  # frames: how often the palm graph is asked about hands while none is missing or in doubt
EVIDENCE_SHARE = 0.25  # of what is found now in the mean of late
LOST_S = 0.2  # a hand found again so soon where it was heading is the same one: it flickered
HIDDEN_S = 0.8  # so long a hand that went behind another keeps its track
BEHIND_MM = 300.0  # a hand that is lost within this of another one went behind it
BACK_MM = 160.0  # and is the same where it comes back within this of where it was heading, the faster the farther


@dataclass(frozen=True)
class TrackerState:
    """What is remembered from one frame to the next: tracks, the filters of their joints, and the lens that they were seen by."""

    tracks: Tracks = NO_TRACKS
    filters: Filters = NO_FILTERS
    lens: Intrinsics | None = None

    def without_hands(self) -> "TrackerState":
        """No track at all; a hand that is found again gets an id that was never used."""
        return TrackerState(Tracks((), self.tracks.next_id))


@dataclass(frozen=True)
class Followed:
    """A track in this frame and the look that saw its hand."""

    track: Track
    seen: Look


def track_hands(
    frame: DepthFrame, state: TrackerState, engines: Engines, settings: TrackerSettings, clock: Clock
) -> tuple[list[HandPose], TrackerState]:
    """The whole step of a frame: poses to publish now, smoothed and extrapolated as asked for, and the state for the next frame.

    Raises EngineFailed if an engine does.
    """
    if frame.intrinsics != state.lens:  # where a hand was by another lens says nothing of where it is
        state = replace(state.without_hands(), lens=frame.intrinsics)
    poses, tracks = update_tracks(frame, state.tracks, engines, settings, clock)
    poses, filters = smooth(poses, state.filters, settings.smoothing)
    shown = extrapolate(poses, filters, clock.now_ns(), settings.smoothing)
    return shown, TrackerState(tracks, filters, frame.intrinsics)


def update_tracks(
    frame: DepthFrame, tracks: Tracks, engines: Engines, settings: TrackerSettings, clock: Clock
) -> tuple[list[HandPose], Tracks]:
    """Poses of the hands in this frame as the network gives them, and the tracks for the next call; no hand is an empty list."""
    views = [_view(track, frame, settings) for track in tracks.active]
    looks = recentred(frame, look(frame, views, engines.hand, settings, clock), engines.hand, settings, clock)
    pairs = [Followed(track, seen) for track, seen in zip(tracks.active, looks, strict=True) if is_hand(seen, settings)]
    kept = [_continued(one, frame) for one in _one_hand_each(pairs, frame)]
    next_id = tracks.next_id
    palms = None
    if len(kept) < settings.max_hands or _is_asked(kept, frame, settings):
        with clock.stage("locate"):
            palms = map_palms(frame, engines, settings)
    if palms is not None and not settings.expects_hand:  # asked for what is missing, it also speaks of what is not
        kept = [_weighted(one, palms) for one in kept]
        kept = [one for one in kept if one.track.evidence >= KEEP_EVIDENCE]
    hidden = _hidden(tracks, kept, frame)
    if len(kept) < settings.max_hands:
        taken = [one.track.centre_mm for one in kept]
        asks_geometry = palms is None or tracks.missing % GEOMETRY_EVERY == 0
        for seen in search(frame, taken, palms, engines, settings, clock, asks_geometry):
            back = _came_back(seen, hidden, frame)
            if back is None:
                kept.append(Followed(start_track(next_id, seen.centre_mm, frame.capture_ns), seen))
                next_id += 1
            else:
                hidden = [track for track in hidden if track is not back]
                kept.append(_continued(Followed(replace(back, evidence=0.0), seen), frame))
    followed = [Followed(observe_hand(one.track, one.seen.right, one.seen.xyz_camera_mm), one.seen) for one in kept]
    followed.sort(key=lambda one: one.track.track_id)
    active = tuple(one.track for one in followed)
    seen_before = {track.track_id for track in tracks.active}
    missing = tracks.missing + 1 if len(active) < settings.max_hands else 0
    return [_pose(one, one.track.track_id in seen_before, frame, settings) for one in followed], Tracks(
        active, next_id, tuple(hidden), missing
    )


def _view(track: Track, frame: DepthFrame, settings: TrackerSettings) -> View:
    """The cube in which a tracked hand is looked for."""
    cube_mm = scaled_cube_mm(track, settings.cube_mm, settings.cube_mm_range)
    return View(predicted_centre(track, frame.capture_ns), cube_mm, _side(track, settings) is Handedness.LEFT)


def _side(track: Track, settings: TrackerSettings) -> Handedness:
    return track.handedness if settings.handedness is Handedness.UNKNOWN else settings.handedness


def _is_asked(kept: list[Followed], frame: DepthFrame, settings: TrackerSettings) -> bool:
    """Whether the palm graph is asked about hands though none is missing: now and then, and as long as one is not sure."""
    is_due = frame.frame_number % JUDGE_EVERY == 0 or any(one.track.evidence < SURE_EVIDENCE for one in kept)
    return is_due and not settings.expects_hand


def _weighted(one: Followed, palms: PalmMap) -> Followed:
    found = evidence(one.seen, palms)
    mean = one.track.evidence + EVIDENCE_SHARE * (found - one.track.evidence)
    return replace(one, track=replace(one.track, evidence=mean))


def _continued(one: Followed, frame: DepthFrame) -> Followed:
    return Followed(continue_track(one.track, one.seen.centre_mm, frame.capture_ns), one.seen)


def _one_hand_each(pairs: list[Followed], frame: DepthFrame) -> list[Followed]:
    """The pairs, less those whose look saw the hand of another track: that one keeps it which expected it nearer."""
    kept: list[Followed] = []
    for one in sorted(pairs, key=lambda pair: _surprise_mm(pair, frame)):
        if all(float(np.linalg.norm(one.seen.centre_mm - other.seen.centre_mm)) > ONE_HAND_MM for other in kept):
            kept.append(one)
    return kept


def _surprise_mm(pair: Followed, frame: DepthFrame) -> float:
    return float(np.linalg.norm(pair.seen.centre_mm - predicted_centre(pair.track, frame.capture_ns)))


def _hidden(tracks: Tracks, kept: list[Followed], frame: DepthFrame) -> list[Track]:
    """Tracks that are remembered though their hand is not seen: it was lost just now, or beside another one not long ago."""
    ids = {one.track.track_id for one in kept}
    lost = [track for track in (*tracks.hidden, *tracks.active) if track.track_id not in ids]
    recent = [track for track in lost if 0 <= frame.capture_ns - track.capture_ns <= HIDDEN_S * 1e9]
    return [
        track
        for track in recent
        if frame.capture_ns - track.capture_ns <= LOST_S * 1e9
        or any(float(np.linalg.norm(track.centre_mm - one.track.centre_mm)) < BEHIND_MM for one in kept)
    ]


def _came_back(seen: Look, hidden: list[Track], frame: DepthFrame) -> Track | None:
    """The hidden track that a hand found anew belongs to: near where it was heading, and of the same side if that is known."""
    near: list[tuple[float, Track]] = []
    for track in hidden:
        elapsed_s = (frame.capture_ns - track.capture_ns) / 1e9
        heading = track.centre_mm + track.velocity_mm_s * np.float32(elapsed_s)
        away_mm = min(float(np.linalg.norm(seen.centre_mm - place)) for place in (heading, track.centre_mm))
        reach_mm = BACK_MM + float(np.linalg.norm(track.velocity_mm_s)) * elapsed_s / 2
        is_other_side = track.right * seen.right < 0 and min(abs(track.right), abs(seen.right)) > 1
        if away_mm < reach_mm and not is_other_side:
            near.append((away_mm, track))
    return min(near, key=lambda pair: pair[0])[1] if near else None


def _is_in_image(seen: Look, frame: DepthFrame) -> bool:
    """Whether at least half of the joints lie before the camera and inside its image: the others are guessed."""
    lens, in_front = frame.intrinsics, seen.xyz_camera_mm[seen.xyz_camera_mm[:, 2] > 0]
    u, v = project(np, in_front, lens).T
    inside = (u >= -0.5) & (u < lens.width_px - 0.5) & (v >= -0.5) & (v < lens.height_px - 0.5)
    return 2 * int(inside.sum()) >= len(seen.xyz_camera_mm)


def _pose(one: Followed, is_tracked: bool, frame: DepthFrame, settings: TrackerSettings) -> HandPose:
    track, seen = one.track, one.seen
    is_told = settings.handedness is Handedness.UNKNOWN
    return HandPose(
        xyz_camera_mm=seen.xyz_camera_mm,
        expected_error_mm=seen.expected_error_mm,
        view=seen.view,
        track_id=track.track_id,
        handedness=_side(track, settings),
        # What the configuration states is not observed.
        handedness_confidence=abs(math.tanh(track.right / 2)) if is_told else 0.0,
        confidence=seen.confidence,
        is_valid=_is_in_image(seen, frame),
        is_tracked=is_tracked,
        is_extrapolated=False,
        frame_number=frame.frame_number,
        capture_ns=frame.capture_ns,
    )
