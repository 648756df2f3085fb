"""How good a palm network is on rendered frames: hands found, false hands, sides told, distance in mm; by the decoder of the run time."""

from typing import NamedTuple

import numpy as np
import torch

from handmap.tracking.palm_detector import (
    INPUT_COLUMNS,
    INPUT_ROWS,
    SPAN_CELLS,
    SPAN_MM,
    PalmDetection,
    decode_detections,
)
from handmap.types.arrays import Float32
from handmap.types.intrinsics import Intrinsics

from ..network.palm_network import PalmNetwork
from ..samples.palm_samples import PalmSamples
from .palm_targets import HIDDEN_JOINTS, SEEN_JOINTS

MIN_SCORE = 0.15  # proposals are cheap: the hand network judges them
SCORED_FROM = 0.4  # the scores below are of reports that stand alone
MAX_PALMS = 4
DETECTION_MATCH_MM = 90.0  # a report this near a hand's cube center is of that hand
BATCH = 64
# Any lens will do where pictures are compared with pictures: lengths in mm need only one that both sides share.
INTRINSICS = Intrinsics(INPUT_COLUMNS, INPUT_ROWS, 95.0, 95.0, 63.5, 47.5)


class PalmScore(NamedTuple):
    """Shares: of hands found, of pictures with a false hand, of found hands whose side is right; and the median distance in mm."""

    found: float
    false: float
    side: float
    distance_mm: float

    @property
    def merit(self) -> float:
        """What chooses the weights: hands found, less pictures with a false one."""
        return self.found - self.false

    def __str__(self) -> str:
        return f"found {self.found:.3f}, false {self.false:.3f}, side {self.side:.3f}, {self.distance_mm:.0f} mm"


def score_palms(network: PalmNetwork, samples: PalmSamples) -> PalmScore:
    """The score on all samples; hands with too few visible joints are ignored."""
    hands = found = right = false = 0
    distances: list[float] = []
    for first in range(0, len(samples), BATCH):
        pictures = torch.from_numpy(samples.pictures[first : first + BATCH].astype(np.float32))[:, None]
        with torch.inference_mode():
            answers = network(pictures)["palms"].float().numpy()
        for index, answer in enumerate(answers, start=first):
            reports = decode_detections(answer, INTRINSICS, SCORED_FROM, MAX_PALMS)
            true_mm = _centers(samples.hands[index])
            seen = samples.seen_joints[index]
            taken: set[int] = set()
            for hand in np.flatnonzero(seen >= SEEN_JOINTS):
                hands += 1
                at, away_mm = _nearest(true_mm[hand], reports, taken)
                if away_mm <= DETECTION_MATCH_MM:
                    taken.add(at)
                    found += 1
                    distances.append(away_mm)
                    right += (reports[at].right_probability > 0.5) == samples.is_right[index, hand]
            doubtful = true_mm[(seen >= HIDDEN_JOINTS) & (seen < SEEN_JOINTS)]
            others = [report for at, report in enumerate(reports) if at not in taken]
            false += any(all(_away_mm(report, one) > DETECTION_MATCH_MM for one in doubtful) for report in others)
    return PalmScore(
        float(found / max(hands, 1)),
        float(false / len(samples)),
        float(right / max(found, 1)),
        float(np.median(distances or [np.nan])),
    )


def _centers(hands: Float32) -> Float32:
    """Centers (2, 3) in mm as LENS would have them, of hands as samples state them."""
    z = INTRINSICS.fx_px * SPAN_MM / SPAN_CELLS / hands[:, 2]
    x, y = (
        (hands[:, 0] - INTRINSICS.cx_px) / INTRINSICS.fx_px * z,
        (hands[:, 1] - INTRINSICS.cy_px) / INTRINSICS.fy_px * z,
    )
    return np.stack([x, y, z], axis=-1).astype(np.float32)


def _nearest(center_mm: Float32, reports: list[PalmDetection], taken: set[int]) -> tuple[int, float]:
    away = {at: _away_mm(report, center_mm) for at, report in enumerate(reports) if at not in taken}
    at = min(away, key=lambda one: away[one], default=-1)
    return at, away.get(at, float("inf"))


def _away_mm(report: PalmDetection, center_mm: Float32) -> float:
    return float(np.linalg.norm(report.center_mm - center_mm))
