"""The tracker: the whole per-frame step, shared by the daemon, `handmap bench`, evaluation and calibration."""

import math
from dataclasses import dataclass, replace

import numpy as np

from handmap.engines.engine import Engines
from handmap.tracking.detector import Search, detect_hands, passes_presence_gate, run_palm_detector
from handmap.tracking.fitted_hands import (
    NO_FITTED_HANDS,
    FittedHands,
    extrapolate_hands,
    fit_hands,
    learn_from_fit,
)
from handmap.tracking.hand_presence import KEEP_LOGIT, PRESENCE_EMA_ALPHA, SURE_LOGIT, hand_presence_logit
from handmap.tracking.palm_detector import DetectionMap
from handmap.tracking.pose_estimate import PoseEstimate, StageTimer, estimate_poses, refine_off_center
from handmap.tracking.smooth import NO_FILTERS, Filters, extrapolate, smooth
from handmap.tracking.track import (
    NO_TRACKS,
    Track,
    Tracks,
    predicted_center,
    scaled_cube_mm,
    start_track,
    update_handedness_and_size,
    update_track,
)
from handmap.tracking.tracker_settings import TrackerSettings
from handmap.types.intrinsics import Intrinsics, project
from handmap.types.values import DepthFrame, Handedness, HandPose, HandRoi

DUPLICATE_TRACK_MM = 45.0  # two tracks with hands nearer than this are tracking the same one
GEOMETRIC_SEARCH_INTERVAL_FRAMES = (
    4  # frames: the longest delay for a hand that the palm graph misses, and little cost for an empty room
)
DETECTOR_INTERVAL_FRAMES = 15  # frames between runs of the palm graph while no hand is missing or uncertain
MAX_GAP_S = 0.2  # a hand found again this soon on its predicted path is the same one: it flickered
MAX_FRAME_GAP_S = 1.0  # after longer without a frame, for whatever reason, a hand in the same place may be another
OCCLUSION_TIMEOUT_S = 0.8  # how long a hand occluded by another one keeps its track
OCCLUSION_DISTANCE_MM = 300.0  # a hand lost within this distance of another one counts as occluded by it
REID_DISTANCE_MM = 160.0  # base distance from its predicted position for re-identification; grows with speed


@dataclass(frozen=True)
class TrackerState:
    """The state kept between frames: tracks, fitted hands or joint filters, and the intrinsics they were seen with."""

    tracks: Tracks = NO_TRACKS
    fitted: FittedHands = NO_FITTED_HANDS
    filters: Filters = NO_FILTERS
    intrinsics: Intrinsics | None = None

    def without_hands(self) -> "TrackerState":
        """The state without tracks; a hand that is found again gets a new ID."""
        return TrackerState(Tracks((), self.tracks.next_id), self.fitted.without_hands())


@dataclass(frozen=True)
class TrackedEstimate:
    """A track in this frame and the pose estimate of its hand."""

    track: Track
    seen: PoseEstimate


def track_hands(
    frame: DepthFrame, state: TrackerState, engines: Engines, settings: TrackerSettings, clock: StageTimer
) -> tuple[list[HandPose], TrackerState]:
    """The whole per-frame step: poses to publish, fitted, smoothed and extrapolated as configured, and the state for the next frame.

    The state's `fitted` has the bodies of these poses. Raises EngineFailed if an engine fails.
    """
    # Positions seen with other intrinsics are meaningless, and those of long ago.
    if frame.intrinsics != state.intrinsics or _is_after_gap(frame, state.tracks):
        state = replace(state.without_hands(), intrinsics=frame.intrinsics)
    poses, tracks = update_tracks(frame, state.tracks, engines, settings, clock)
    if not settings.skeleton.enabled:
        poses, filters = smooth(poses, state.filters, settings.smoothing)
        shown = extrapolate(poses, filters, clock.now_ns(), settings.smoothing)
        return shown, TrackerState(tracks, NO_FITTED_HANDS, filters, frame.intrinsics)
    with clock.stage("skeleton"):
        poses, fitted = fit_hands(poses, state.fitted, settings.smoothing)
        tracks = learn_from_fit(tracks, fitted)
        shown, fitted = extrapolate_hands(poses, fitted, clock.now_ns(), settings.smoothing)
    return shown, TrackerState(tracks, fitted, NO_FILTERS, frame.intrinsics)


def update_tracks(
    frame: DepthFrame, tracks: Tracks, engines: Engines, settings: TrackerSettings, clock: StageTimer
) -> tuple[list[HandPose], Tracks]:
    """Raw poses of the hands in this frame, and the tracks for the next call; an empty list means no hand.

    A track is lost when its cube shows no hand or its evidence falls below KEEP_LOGIT; it ends if the detector does not find
    the hand again within MAX_GAP_S, or within OCCLUSION_TIMEOUT_S near another hand.
    """
    rois = [_predicted_roi(track, frame, settings) for track in tracks.active]
    estimates = refine_off_center(
        frame, estimate_poses(frame, rois, engines.hand, settings, clock), engines.hand, settings, clock
    )
    pairs = [
        TrackedEstimate(track, seen)
        for track, seen in zip(tracks.active, estimates, strict=True)
        if passes_presence_gate(seen, settings)
    ]
    kept = [_continued(one, frame) for one in _without_duplicates(pairs, frame)]
    next_id = tracks.next_id
    palms = None
    if len(kept) < settings.max_hands or _detector_is_due(kept, frame, settings):
        with clock.stage("locate"):
            palms = run_palm_detector(frame, engines, settings)
    if (
        palms is not None and not settings.assume_hand_present
    ):  # when run for a missing hand, it is evidence for the others too
        kept = [_with_presence(one, palms) for one in kept]
        kept = [one for one in kept if one.track.presence_logit >= KEEP_LOGIT]
    occluded = _occluded(tracks, kept, frame)
    proposals: tuple[HandRoi, ...] = ()
    if len(kept) < settings.max_hands:
        taken = [one.track.center_mm for one in kept]
        asks_geometry = palms is None or tracks.missing % GEOMETRIC_SEARCH_INTERVAL_FRAMES == 0
        search = Search(frame, palms, engines, settings, clock)
        detected = detect_hands(search, taken, asks_geometry)
        proposals = tuple(candidate.roi for candidate in detected.candidates)
        for seen in detected.hands:
            back = _reidentified(seen, occluded, frame)
            if back is None:
                kept.append(TrackedEstimate(start_track(next_id, seen.center_mm, frame.capture_ns), seen))
                next_id += 1
            else:
                occluded = [track for track in occluded if track is not back]
                kept.append(_continued(TrackedEstimate(replace(back, presence_logit=0.0), seen), frame))
    followed = [
        TrackedEstimate(update_handedness_and_size(one.track, one.seen.right_logit, one.seen.xyz_camera_mm), one.seen)
        for one in kept
    ]
    followed.sort(key=lambda one: one.track.track_id)
    active = tuple(one.track for one in followed)
    seen_before = {track.track_id for track in tracks.active}
    missing = tracks.missing + 1 if len(active) < settings.max_hands else 0
    return [_pose(one, one.track.track_id in seen_before, frame, settings) for one in followed], Tracks(
        active, next_id, tuple(occluded), missing, proposals
    )


def _is_after_gap(frame: DepthFrame, tracks: Tracks) -> bool:
    return any(frame.capture_ns - track.capture_ns > MAX_FRAME_GAP_S * 1e9 for track in tracks.active)


def _predicted_roi(track: Track, frame: DepthFrame, settings: TrackerSettings) -> HandRoi:
    """The cube in which a tracked hand is expected."""
    cube_mm = scaled_cube_mm(track, settings.cube_mm, settings.cube_mm_range)
    return HandRoi(predicted_center(track, frame.capture_ns), cube_mm, _handedness(track, settings) is Handedness.LEFT)


def _handedness(track: Track, settings: TrackerSettings) -> Handedness:
    return track.handedness if settings.handedness is Handedness.UNKNOWN else settings.handedness


def _detector_is_due(kept: list[TrackedEstimate], frame: DepthFrame, settings: TrackerSettings) -> bool:
    """Whether to run the palm graph though no hand is missing: at intervals, and while any track is uncertain."""
    is_due = frame.frame_number % DETECTOR_INTERVAL_FRAMES == 0 or any(
        one.track.presence_logit < SURE_LOGIT for one in kept
    )
    return is_due and not settings.assume_hand_present


def _with_presence(one: TrackedEstimate, palms: DetectionMap) -> TrackedEstimate:
    found = hand_presence_logit(one.seen, palms)
    mean = one.track.presence_logit + PRESENCE_EMA_ALPHA * (found - one.track.presence_logit)
    return replace(one, track=replace(one.track, presence_logit=mean))


def _continued(one: TrackedEstimate, frame: DepthFrame) -> TrackedEstimate:
    return TrackedEstimate(update_track(one.track, one.seen.center_mm, frame.capture_ns), one.seen)


def _without_duplicates(pairs: list[TrackedEstimate], frame: DepthFrame) -> list[TrackedEstimate]:
    """The pairs without duplicates: if two tracks found the same hand, the one with the smaller prediction error keeps it."""
    kept: list[TrackedEstimate] = []
    for one in sorted(pairs, key=lambda pair: _prediction_error_mm(pair, frame)):
        if all(float(np.linalg.norm(one.seen.center_mm - other.seen.center_mm)) > DUPLICATE_TRACK_MM for other in kept):
            kept.append(one)
    return kept


def _prediction_error_mm(pair: TrackedEstimate, frame: DepthFrame) -> float:
    return float(np.linalg.norm(pair.seen.center_mm - predicted_center(pair.track, frame.capture_ns)))


def _occluded(tracks: Tracks, kept: list[TrackedEstimate], frame: DepthFrame) -> list[Track]:
    """Tracks kept although their hand is not seen: just lost, or recently occluded by another one."""
    ids = {one.track.track_id for one in kept}
    lost = [track for track in (*tracks.occluded, *tracks.active) if track.track_id not in ids]
    recent = [track for track in lost if 0 <= frame.capture_ns - track.capture_ns <= OCCLUSION_TIMEOUT_S * 1e9]
    return [
        track
        for track in recent
        if frame.capture_ns - track.capture_ns <= MAX_GAP_S * 1e9
        or any(float(np.linalg.norm(track.center_mm - one.track.center_mm)) < OCCLUSION_DISTANCE_MM for one in kept)
    ]


def _reidentified(seen: PoseEstimate, occluded: list[Track], frame: DepthFrame) -> Track | None:
    """The occluded track that a newly detected hand belongs to: near its predicted position, same handedness if known."""
    near: list[tuple[float, Track]] = []
    for track in occluded:
        elapsed_s = (frame.capture_ns - track.capture_ns) / 1e9
        heading = track.center_mm + track.velocity_mm_s * np.float32(elapsed_s)
        away_mm = min(float(np.linalg.norm(seen.center_mm - place)) for place in (heading, track.center_mm))
        reach_mm = REID_DISTANCE_MM + float(np.linalg.norm(track.velocity_mm_s)) * elapsed_s / 2
        is_other_side = (
            track.right_logit * seen.right_logit < 0 and min(abs(track.right_logit), abs(seen.right_logit)) > 1
        )
        if away_mm < reach_mm and not is_other_side:
            near.append((away_mm, track))
    return min(near, key=lambda pair: pair[0])[1] if near else None


def _is_in_image(seen: PoseEstimate, frame: DepthFrame) -> bool:
    """Whether at least half of the joints are in front of the camera and inside its image; the others are guesses."""
    intrinsics, in_front = frame.intrinsics, seen.xyz_camera_mm[seen.xyz_camera_mm[:, 2] > 0]
    u, v = project(np, in_front, intrinsics).T
    inside = (u >= -0.5) & (u < intrinsics.width_px - 0.5) & (v >= -0.5) & (v < intrinsics.height_px - 0.5)
    return 2 * int(inside.sum()) >= len(seen.xyz_camera_mm)


def _pose(one: TrackedEstimate, is_tracked: bool, frame: DepthFrame, settings: TrackerSettings) -> HandPose:
    track, seen = one.track, one.seen
    is_told = settings.handedness is Handedness.UNKNOWN
    return HandPose(
        xyz_camera_mm=seen.xyz_camera_mm,
        expected_error_mm=seen.expected_error_mm,
        roi=seen.roi,
        raw_xyz_camera_mm=seen.xyz_camera_mm,
        raw_expected_error_mm=seen.expected_error_mm,
        track_id=track.track_id,
        handedness=_handedness(track, settings),
        # Handedness fixed by the configuration is not observed.
        handedness_confidence=abs(math.tanh(track.right_logit / 2)) if is_told else 0.0,
        confidence=seen.confidence,
        is_valid=_is_in_image(seen, frame),
        is_tracked=is_tracked,
        is_extrapolated=False,
        frame_number=frame.frame_number,
        capture_ns=frame.capture_ns,
    )
