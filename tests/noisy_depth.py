"""Real depth frames with salt noise and holes: which hands are found again where they were? See `tests.real_depth --noise`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from handmap.engines.engine import Engines
from handmap.system.timing import StageClock
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import TrackerSettings
from handmap.types.values import DepthFrame, HandPose
from tests.emptied_depth import FRAME_NS, Mask, in_cube

SALT_SHARE: Final = 0.01
SALT_MM: Final = (200.0, 1000.0)
HOLE_SHARE: Final = 0.25  # of the hand's pixels
HOLE_PX: Final = (4, 14)  # radii of its blobs
CENTER_MM: Final = 30.0  # a hand is found again if its cube's center and its joints, on average, are this close
JOINTS_MM: Final = 15.0
FRAMES: Final = 8

Disturb = Callable[[DepthFrame, Sequence[float], np.random.Generator], DepthFrame]


def salted(frame: DepthFrame, _center_mm: Sequence[float], random: np.random.Generator) -> DepthFrame:
    """Each pixel, with a probability of SALT_SHARE, at a depth drawn evenly from SALT_MM."""
    low, high = (limit / frame.depth_unit_mm for limit in SALT_MM)
    is_salt = random.random(frame.depth.shape) < SALT_SHARE
    salt = random.uniform(low, high, frame.depth.shape).astype(np.uint16)
    return replace(frame, depth=np.where(is_salt, salt, frame.depth))


def holed(frame: DepthFrame, center_mm: Sequence[float], random: np.random.Generator) -> DepthFrame:
    """Round holes in the hand about center_mm until HOLE_SHARE of its pixels are not measured."""
    hand = in_cube(frame, center_mm)
    places = np.argwhere(hand)
    holes: Mask = np.zeros_like(hand)
    row_of, column_of = np.ogrid[: hand.shape[0], : hand.shape[1]]
    while (holes & hand).sum() < HOLE_SHARE * len(places):
        row, column = places[random.integers(len(places))]
        holes |= (row_of - row) ** 2 + (column_of - column) ** 2 < random.uniform(*HOLE_PX) ** 2
    return replace(frame, depth=np.where(holes & hand, np.uint16(0), frame.depth))


DISTURBANCES: Final[dict[str, Disturb]] = {"salt": salted, "holes": holed}


@dataclass(frozen=True)
class Found:
    """One frame, disturbed: whether its hand was found again alone in the first of FRAMES, in how many it was, and how far off.

    joints_mm is the mean distance to the clean frame's joints in the first, infinite without a hand.
    """

    is_found: bool
    kept: int
    joints_mm: float


@dataclass(frozen=True)
class Disturbed:
    """Tracks disturbed copies of frames."""

    engines: Engines
    settings: TrackerSettings

    def find_again(self, frame: DepthFrame, center_mm: Sequence[float], disturb: Disturb, seed: int) -> Found | None:
        """What is found of the hand about center_mm (3,), camera frame, mm; None if there is none in the clean frame."""
        clean = next(self._tracked([frame]))
        if clean is None:
            return None
        random = np.random.default_rng(seed)
        copies = [
            replace(disturb(frame, center_mm, random), frame_number=number, capture_ns=number * FRAME_NS)
            for number in range(FRAMES)
        ]
        poses = list(self._tracked(copies))
        return Found(_is_same(poses[0], clean), sum(_is_same(pose, clean) for pose in poses), _away_mm(poses[0], clean))

    def _tracked(self, frames: Sequence[DepthFrame]) -> Iterator[HandPose | None]:
        state = TrackerState()
        for frame in frames:
            poses, state = track_hands(frame, state, self.engines, self.settings, StageClock())
            yield poses[0] if poses else None


def _is_same(pose: HandPose | None, clean: HandPose) -> bool:
    if pose is None or _away_mm(pose, clean) > JOINTS_MM:
        return False
    return bool(np.linalg.norm(pose.roi.center_mm - clean.roi.center_mm) <= CENTER_MM)


def _away_mm(pose: HandPose | None, clean: HandPose) -> float:
    if pose is None:
        return float("inf")
    return float(np.linalg.norm(pose.xyz_camera_mm - clean.xyz_camera_mm, axis=1).mean())
