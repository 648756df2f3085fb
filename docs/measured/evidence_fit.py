"""The weights of `handmap.tracking.hand_presence`, fitted to looks at a data set of kinds, and what each threshold would start.

`.venv/bin/python -m docs.measured.evidence_fit BUNDLE [FRAMES] [--data synthetic:tune]`: candidates are found as the run time finds
them when two hands of either side may be there; one within 60 mm of a true hand is a hand, one farther than 120 mm from all is none.
Prints JSON.
"""

import argparse
import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from handmap.bundle.confidence_fit import regress
from handmap.bundle.manifest import read_bundle
from handmap.engines.engine import Engines
from handmap.engines.factory import EngineConfig, open_engines
from handmap.recording.datasets import KindFrame, open_dataset
from handmap.system.progress import track_progress
from handmap.system.timing import StageClock
from handmap.tracking.detector import MAX_DETECTIONS, Search, propose_centers, refine_candidates, run_palm_detector
from handmap.tracking.hand_presence import hand_presence_logit, logit
from handmap.tracking.palm_detector import DetectionMap, decode_detections
from handmap.tracking.pose_estimate import PoseEstimate
from handmap.tracking.track import cube_center
from handmap.tracking.tracker_settings import TrackerSettings, TrackingConfig, tracker_settings
from handmap.types.arrays import Bool, Float64

HAND_MM, OTHER_MM = 60.0, 120.0
THRESHOLDS = np.arange(-4, 4.5, 0.5)


class Candidates(NamedTuple):
    """What the run time looks at: log odds of the hand network and of the palm graph and mean expected error (N, 3), which are hands (N,),
    their evidence now (N,), and the number of the frame that each is of (N,)."""

    features: Float64
    is_hand: Bool
    presence_logit: Float64
    frame: Float64


def gather(frames: list[KindFrame], engines: Engines, settings: TrackerSettings) -> Candidates:
    """The candidates of all frames."""
    rows, hands, sums, numbers = [], [], [], []
    with track_progress("looks", len(frames), "frames") as advance:
        for number, shown in enumerate(frames):
            centers = [cube_center(hand.xyz_camera_mm) for hand in shown.hands]
            for seen, palms in look_around(shown, engines, settings):
                away_mm = min((float(np.linalg.norm(seen.center_mm - one)) for one in centers), default=math.inf)
                if HAND_MM < away_mm < OTHER_MM:
                    continue
                score = 0.5 if palms is None else palms.score_at(seen.center_mm)
                rows.append([logit(seen.confidence), logit(score), float(seen.expected_error_mm.mean())])
                hands.append(away_mm <= HAND_MM)
                sums.append(hand_presence_logit(seen, palms))
                numbers.append(number)
            advance(number + 1, "")
    return Candidates(np.array(rows), np.array(hands, bool), np.array(sums), np.array(numbers))


def look_around(
    shown: KindFrame, engines: Engines, settings: TrackerSettings
) -> list[tuple[PoseEstimate, DetectionMap | None]]:
    """The best candidates of a frame, from the palm graph and from geometry, and what the palm graph says."""
    palms = run_palm_detector(shown.frame, engines, settings)
    places = (
        [] if palms is None else decode_detections(palms.palms, palms.intrinsics, engines.min_score, MAX_DETECTIONS)
    )
    centers = [place.center_mm for place in places] + propose_centers(shown.frame, settings)
    search = Search(shown.frame, palms, engines, settings, StageClock())
    return [(seen, palms) for seen in refine_candidates(search, centers)]


def starts(found: Candidates, frames: list[KindFrame]) -> list[dict[str, float]]:
    """For each threshold: the share of hands with a candidate above it, and of frames without a hand with any."""
    shows_hand = np.array([bool(shown.hands) for shown in frames])
    rows = []
    for threshold in THRESHOLDS.tolist():
        above = found.presence_logit >= threshold
        with_hand = len(set(found.frame[above & found.is_hand].tolist()))
        others = set(found.frame[above & ~found.is_hand].tolist())
        false = sum(not shows_hand[int(number)] for number in others)
        rows.append(
            {
                "threshold": threshold,
                "found": round(with_hand / max(int(shows_hand.sum()), 1), 4),
                "false": round(false / max(int((~shows_hand).sum()), 1), 4),
            }
        )
    return rows


def main(bundle_path: Path, frames: int, data: str) -> None:
    """Prints weights, their bias, and the table of thresholds."""
    bundle = read_bundle(bundle_path)
    engines = open_engines(bundle, EngineConfig(), batch=1)
    settings = tracker_settings(bundle, TrackingConfig(handedness="any", max_hands=2))
    shown = list(open_dataset(data).kind_frames(frames))  # type: ignore[attr-defined]  # the data set is one of kinds
    found = gather(shown, engines, settings)
    engines.close()
    bias, weights = regress(found.features, found.is_hand)
    print(  # noqa: T201
        json.dumps(
            {
                "frames": len(shown),
                "candidates": len(found.is_hand),
                "hands": int(found.is_hand.sum()),
                "bias": round(bias, 3),
                "weights": [round(float(weight), 4) for weight in weights],
                "now": starts(found, shown),
                "fitted": starts(found._replace(presence_logit=bias + found.features @ weights), shown),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("frames", type=int, nargs="?", default=2000)
    parser.add_argument("--data", default="synthetic:tune")
    asked = parser.parse_args()
    main(asked.bundle, asked.frames, asked.data)
