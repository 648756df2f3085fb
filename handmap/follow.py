"""The whole per-frame step: (frame, tracks) -> (poses, tracks). What the daemon, evaluation and calibration do alike."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import msgspec
import numpy as np

from handmap.arrays import ArrayModule, Float32
from handmap.bundle import Bundle, ConfidenceTable
from handmap.crop import crop_hand
from handmap.decode import decode, hand_confidence, hand_peak
from handmap.engine import Engine, Engines
from handmap.errors import EngineFailed
from handmap.locate import Proposal, locate
from handmap.track import Tracks, continue_track, cube_centre, predicted_centre, start_track
from handmap.values import DepthFrame, HandCrop, Handedness, HandPose, JointsNormalised

RECENTRING_PASSES = 2
SPARE_CANDIDATES = 2  # kept beside as many as there are hands to find, until the last look decides
ERROR_PER_PEAK_MM = 200.0  # 20 mm of expected error weigh as much as 0.1 of peak; chosen on 700 frames of synthetic:val
RECENTRE_BEYOND_MM = 25.0  # training jitters the centre by about this much; beyond it a second look pays
SAME_HAND_MM = 80.0


class TrackingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which hands this device follows, and where."""

    hand: Literal["right", "left"] = "right"
    max_hands: Annotated[int, msgspec.Meta(ge=1, le=2)] = 1
    near_mm: Annotated[float, msgspec.Meta(ge=50, le=5000)] = 150.0
    far_mm: Annotated[float, msgspec.Meta(ge=100, le=5000)] = 1000.0
    proposals: Annotated[int, msgspec.Meta(ge=1, le=12)] = 6
    min_confidence: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.3

    def __post_init__(self) -> None:
        if self.near_mm >= self.far_mm:
            raise ValueError(f"near_mm must be below far_mm, found {self.near_mm} and {self.far_mm}")


@dataclass(frozen=True)
class FollowSettings:
    """What `follow` needs to know of the model and of the device."""

    xp: ArrayModule
    cube_mm: float
    confidence: ConfidenceTable
    handedness: Handedness
    max_hands: int
    range_mm: tuple[float, float]
    proposals: int
    min_confidence: float


class Clock(Protocol):
    """Times named stages; see `handmap.timing`."""

    def stage(self, name: str) -> AbstractContextManager[None]: ...


@dataclass(frozen=True)
class Look:
    """What one look into a cube gave: joints (J, 3) and their expected errors (J,), camera frame, mm.

    peak is the mean of the guidance maps' peaks, confidence the probability that the cube shows a hand; both are 0 for an
    empty cube.
    """

    xyz_camera_mm: Float32
    expected_error_mm: Float32
    centre_mm: Float32  # of the cube that was looked into
    peak: float
    confidence: float
    is_empty: bool


def follow_settings(bundle: Bundle, config: TrackingConfig, xp: ArrayModule = np) -> FollowSettings:
    """Settings for a bundle's model on this device."""
    return FollowSettings(
        xp=xp,
        cube_mm=bundle.hand.cube_mm,
        confidence=bundle.hand.confidence,
        handedness=Handedness.RIGHT if config.hand == "right" else Handedness.LEFT,
        max_hands=config.max_hands,
        range_mm=(config.near_mm, config.far_mm),
        proposals=config.proposals,
        min_confidence=config.min_confidence,
    )


def follow(
    frame: DepthFrame, tracks: Tracks, engines: Engines, settings: FollowSettings, clock: Clock
) -> tuple[list[HandPose], Tracks]:
    """Poses of the hands in this frame, and the tracks to hand to the next call; no hand is an empty list."""
    centres = [predicted_centre(track, frame.capture_ns) for track in tracks.active]
    looks = recentred(frame, look(frame, centres, engines.hand, settings, clock), engines.hand, settings, clock)
    kept = [
        (continue_track(track, cube_centre(seen.xyz_camera_mm), frame.capture_ns), seen)
        for track, seen in zip(tracks.active, looks, strict=True)
        if is_hand(seen, settings)
    ]
    next_id = tracks.next_id
    if len(kept) < settings.max_hands:
        taken = [track.centre_mm for track, _ in kept]
        for seen in search(frame, taken, engines.hand, settings, clock):
            kept.append((start_track(next_id, cube_centre(seen.xyz_camera_mm), frame.capture_ns), seen))
            next_id += 1
    poses = [_pose(seen, track.track_id, track.frames > 1, frame, settings) for track, seen in kept]
    return poses, Tracks(tuple(track for track, _ in kept), next_id)


def search(
    frame: DepthFrame, taken_mm: list[Float32], engine: Engine, settings: FollowSettings, clock: Clock
) -> list[Look]:
    """Hands found anew, the surest first, none of them where one is tracked already.

    Geometry proposes; the network judges each proposal by a second look, centred on what the first one saw, since an end of a
    body lies half a hand off its middle. The best are then re-centred as everything that is followed.
    """
    with clock.stage("locate"):
        proposals: list[Proposal] = locate(settings.xp, frame, settings.range_mm, settings.proposals)
        centres = [proposal.centre_mm for proposal in proposals if _is_apart(proposal.centre_mm, taken_mm)]
    first = [seen for seen in look(frame, centres, engine, settings, clock) if not seen.is_empty]
    judged = look_again(frame, first, engine, settings, clock)
    candidates = sorted(judged, key=surest_first)[: settings.max_hands + SPARE_CANDIDATES]
    for _ in range(RECENTRING_PASSES):
        candidates = look_again(frame, candidates, engine, settings, clock)
    found: list[Look] = []
    for seen in sorted(candidates, key=surest_first):
        others = [*taken_mm, *(cube_centre(other.xyz_camera_mm) for other in found)]
        is_wanted = len(others) < settings.max_hands and is_hand(seen, settings)
        if is_wanted and _is_apart(cube_centre(seen.xyz_camera_mm), others):
            found.append(seen)
    return found


def look(
    frame: DepthFrame, centres_mm: list[Float32], engine: Engine, settings: FollowSettings, clock: Clock
) -> list[Look]:
    """One look into the cube about each centre, with as few engine calls as its batch allows."""
    is_mirrored = settings.handedness is Handedness.LEFT  # the network knows right hands
    with clock.stage("crop"):
        crops = [crop_hand(settings.xp, frame, centre, settings.cube_mm, is_mirrored) for centre in centres_mm]
    with clock.stage("infer"):
        answers = infer_crops(crops, engine, settings.xp)
    with clock.stage("decode"):
        return [_decoded(crop, answer, settings) for crop, answer in zip(crops, answers, strict=True)]


def surest_first(seen: Look) -> float:
    """A key that puts looks that surely show a hand first: high peaks and, where these are about equal, joints that landed well."""
    return float(seen.expected_error_mm.mean()) / ERROR_PER_PEAK_MM - seen.peak


def look_again(
    frame: DepthFrame, looks: list[Look], engine: Engine, settings: FollowSettings, clock: Clock
) -> list[Look]:
    """A look into the cube about each hand that was seen."""
    return look(frame, [cube_centre(seen.xyz_camera_mm) for seen in looks], engine, settings, clock)


def recentred(
    frame: DepthFrame, looks: list[Look], engine: Engine, settings: FollowSettings, clock: Clock
) -> list[Look]:
    """The looks, with a second one wherever the hand was found far off the centre of its cube."""
    again = [
        index
        for index, seen in enumerate(looks)
        if not seen.is_empty
        and float(np.linalg.norm(cube_centre(seen.xyz_camera_mm) - seen.centre_mm)) > RECENTRE_BEYOND_MM
    ]
    if not again:
        return looks
    better = dict(
        zip(again, look_again(frame, [looks[index] for index in again], engine, settings, clock), strict=True)
    )
    return [better.get(index, seen) for index, seen in enumerate(looks)]


def infer_crops(crops: list[HandCrop], engine: Engine, xp: ArrayModule) -> list[JointsNormalised]:
    """The network's answer for each crop; calls are filled up with empty cubes to the engine's batch."""
    answers: list[JointsNormalised] = []
    for first in range(0, len(crops), engine.batch):
        part = crops[first : first + engine.batch]
        depth = xp.ones((engine.batch, 1, *part[0].depth.shape), xp.float32)
        for index, crop in enumerate(part):
            depth[index, 0] = crop.depth
        output = engine.infer(depth)
        if not bool(xp.isfinite(output.joints[: len(part)]).all()):
            raise EngineFailed("hand engine: gave joints that are not finite; check it with: handmap check")
        for index in range(len(part)):
            answers.append(
                JointsNormalised(output.joints[index], None if output.guidance is None else output.guidance[index])
            )
    return answers


def is_hand(seen: Look, settings: FollowSettings) -> bool:
    """Whether a look shows a hand that may be published: sure enough, and inside the range."""
    z_mm = float(cube_centre(seen.xyz_camera_mm)[2])
    is_in_range = settings.range_mm[0] - settings.cube_mm / 2 < z_mm < settings.range_mm[1] + settings.cube_mm / 2
    return is_in_range and not seen.is_empty and seen.confidence >= settings.min_confidence


def _decoded(crop: HandCrop, answer: JointsNormalised, settings: FollowSettings) -> Look:
    xyz_mm, error_mm = decode(settings.xp, answer, crop, settings.confidence)
    is_empty = bool((crop.depth >= 1).all())
    peak = 0.0 if is_empty else hand_peak(settings.xp, answer)
    confidence = 0.0 if is_empty else hand_confidence(peak, settings.confidence)
    return Look(xyz_mm, error_mm, crop.centre_mm, peak, confidence, is_empty)


def _is_apart(centre_mm: Float32, others_mm: list[Float32]) -> bool:
    return all(float(np.linalg.norm(centre_mm - other)) > SAME_HAND_MM for other in others_mm)


def _pose(seen: Look, track_id: int, is_tracked: bool, frame: DepthFrame, settings: FollowSettings) -> HandPose:
    return HandPose(
        xyz_camera_mm=seen.xyz_camera_mm,
        expected_error_mm=seen.expected_error_mm,
        track_id=track_id,
        handedness=settings.handedness,
        handedness_confidence=0.0,  # stated by the configuration, not observed
        confidence=seen.confidence,
        is_valid=True,
        is_tracked=is_tracked,
        is_extrapolated=False,
        frame_number=frame.frame_number,
        capture_ns=frame.capture_ns,
    )
