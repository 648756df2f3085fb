"""Detects new hands: palm graph and geometry propose candidates, the hand network decides."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from handmap.engines.engine import Engines
from handmap.tracking.hand_presence import START_LOGIT, SURE_LOGIT, hand_presence_logit
from handmap.tracking.palm_detector import DetectionMap, decode_detections, encode_depth
from handmap.tracking.pose_estimate import EstimatorSettings, PoseEstimate, StageTimer, estimate_poses, re_estimate
from handmap.tracking.region_proposals import propose_regions
from handmap.types.arrays import Float32
from handmap.types.values import DepthFrame, Handedness, HandRoi

REFINEMENT_PASSES = 2
SPARE_CANDIDATES = 2  # kept in addition to the number of hands to find, until the final estimate decides
MAX_DETECTIONS = 4
MIN_HAND_DISTANCE_MM = 80.0
DUPLICATE_CANDIDATE_MM = 25.0  # of candidates nearer than this to each other, only the best is kept


class DetectorSettings(EstimatorSettings, Protocol):
    """The settings that detection needs beyond pose estimation."""

    @property
    def cube_mm(self) -> float: ...
    @property
    def handedness(self) -> Handedness: ...
    @property
    def max_hands(self) -> int: ...
    @property
    def range_mm(self) -> tuple[float, float]: ...
    @property
    def max_proposals(self) -> int: ...
    @property
    def min_confidence(self) -> float: ...
    @property
    def assume_hand_present(self) -> bool: ...


@dataclass(frozen=True)
class Search:
    """A frame to search, the palm graph's detections in it (None without that graph), and what to search with."""

    frame: DepthFrame
    detections: DetectionMap | None
    engines: Engines
    settings: DetectorSettings
    clock: StageTimer


class Detections(NamedTuple):
    """Newly detected hands, most confident first, and all candidates that they were chosen from."""

    hands: list[PoseEstimate]
    candidates: list[PoseEstimate]


def detect_hands(search: Search, taken_mm: list[Float32], asks_geometry: bool = True) -> Detections:
    """Newly detected hands, excluding those already tracked.

    Candidates from the palm graph (`run_palm_detector`) come first; geometry, which takes longer, is used only if they do not
    clearly show enough hands and the caller can wait.
    """
    palms, settings = search.detections, search.settings
    with search.clock.stage("locate"):
        places = [] if palms is None else _detected_centers(palms, search.engines.min_score, settings)
    candidates = refine_candidates(search, _keep_apart(places, taken_mm))
    found = _select(candidates, taken_mm, palms, settings)
    are_sure = all(hand_presence_logit(one, palms) >= SURE_LOGIT for one in found)
    if (are_sure and len(found) + len(taken_mm) >= settings.max_hands) or not asks_geometry:
        return Detections(found, candidates)
    with search.clock.stage("locate"):
        ends = propose_centers(search.frame, settings)
    candidates += refine_candidates(search, _keep_apart(ends, taken_mm))
    return Detections(_select(candidates, taken_mm, palms, settings), candidates)


def run_palm_detector(frame: DepthFrame, engines: Engines, settings: DetectorSettings) -> DetectionMap | None:
    """Runs the palm graph on a frame; None if the bundle has no such graph."""
    if engines.palm is None:
        return None
    shown = encode_depth(settings.xp, frame)
    return DetectionMap(engines.palm.infer(shown.depth_small), shown.intrinsics)


def refine_candidates(search: Search, centers: list[Float32]) -> list[PoseEstimate]:
    """Pose estimates of the best candidates, each a distinct hand, re-centered like tracked hands.

    Each candidate is judged by a second estimate, centered on the result of the first, since the end of a body lies half a
    hand from the hand's center.
    """
    frame, engine, settings, clock = search.frame, search.engines.hand, search.settings, search.clock
    # The network expects right hands; one of unknown handedness is mirrored later.
    is_mirrored = settings.handedness is Handedness.LEFT
    rois = [HandRoi(center, settings.cube_mm, is_mirrored) for center in centers]
    first = [seen for seen in estimate_poses(frame, rois, engine, settings, clock) if not seen.is_empty]
    judged = re_estimate(frame, [with_handedness(seen, settings) for seen in first], engine, settings, clock)
    best: list[PoseEstimate] = []
    for seen in sorted(judged, key=lambda one: -hand_presence_logit(one, search.detections)):
        if len(best) < settings.max_hands + SPARE_CANDIDATES and is_apart(
            seen.center_mm, [one.center_mm for one in best], DUPLICATE_CANDIDATE_MM
        ):
            best.append(seen)
    for _ in range(REFINEMENT_PASSES):
        best = re_estimate(frame, [with_handedness(seen, settings) for seen in best], engine, settings, clock)
    return best


def _select(
    candidates: list[PoseEstimate], taken_mm: list[Float32], palms: DetectionMap | None, settings: DetectorSettings
) -> list[PoseEstimate]:
    """As many candidates as there are hands to find, most confident first, each a distinct hand."""
    found: list[PoseEstimate] = []
    for seen in sorted(candidates, key=lambda one: -hand_presence_logit(one, palms)):
        others = [*taken_mm, *(other.center_mm for other in found)]
        is_sure = settings.assume_hand_present or hand_presence_logit(seen, palms) >= START_LOGIT
        is_wanted = len(others) < settings.max_hands and is_sure and passes_presence_gate(seen, settings)
        if is_wanted and is_apart(seen.center_mm, others):
            found.append(seen)
    return found


def _detected_centers(palms: DetectionMap, min_score: float, settings: DetectorSettings) -> list[Float32]:
    """Centers (3,) in the camera frame, mm, of the palm graph's detections in range."""
    near, far = settings.range_mm
    reports = decode_detections(palms.palms, palms.intrinsics, min_score, MAX_DETECTIONS)
    return [report.center_mm for report in reports if near <= report.center_mm[2] <= far]


def propose_centers(frame: DepthFrame, settings: DetectorSettings) -> list[Float32]:
    """Centers (3,) in the camera frame, mm, of the ends of bodies, hands among them, most likely first."""
    return [one.center_mm for one in propose_regions(settings.xp, frame, settings.range_mm, settings.max_proposals)]


def with_handedness(seen: PoseEstimate, settings: DetectorSettings) -> PoseEstimate:
    """The estimate, with its view mirrored for its handedness if the configuration does not fix which hand to expect."""
    if settings.handedness is not Handedness.UNKNOWN:
        return seen
    return seen.with_handedness(is_left=seen.right_logit < 0)


def passes_presence_gate(seen: PoseEstimate, settings: DetectorSettings) -> bool:
    """Whether an estimate shows a hand that can be published: confident enough, and in range."""
    z_mm = float(seen.center_mm[2])
    is_in_range = settings.range_mm[0] - settings.cube_mm / 2 < z_mm < settings.range_mm[1] + settings.cube_mm / 2
    return is_in_range and not seen.is_empty and seen.confidence >= settings.min_confidence


def _keep_apart(places_mm: list[Float32], others_mm: list[Float32]) -> list[Float32]:
    return [place for place in places_mm if is_apart(place, others_mm)]


def is_apart(center_mm: Float32, others_mm: list[Float32], min_mm: float = MIN_HAND_DISTANCE_MM) -> bool:
    """Whether a position is apart from those of other hands."""
    return all(float(np.linalg.norm(center_mm - other)) > min_mm for other in others_mm)
