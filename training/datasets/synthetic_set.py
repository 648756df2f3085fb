"""The fixed data sets of synthetic hands: `synthetic:val` for reporting errors, `synthetic:calib` for calibration.

`assets/synthetic_val.json` defines `val` and the hash of its labels. It never changes: new kinds of poses, cameras or
clutter go into a new `val2`.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handmap.recording.datasets import Dataset, LabeledFrame
from handmap.types.arrays import Float64
from handmap.types.errors import DatasetError
from handmap.types.joints import HAND21
from handmap.types.values import Handedness

from ..hand.hand_model import HandAsset, held_out_coefficients, load_hand_asset, shape_hand, train_coefficients
from ..hand.poses import sample_pose
from ..seed_domains import SeedDomain
from ..synthesis.observe import FRAME_NS, observe
from ..synthesis.placement import WHOLE
from ..synthesis.scene import HEIGHT_PX, WIDTH_PX, Scene, draw_scene
from ..synthesis.sensor import draw_sensor
from .hard_set import HARD_SETS

DEPTH_UNIT_MM = 1.0
LABEL_STEP_MM = 0.01  # labels are hashed in these steps, so that a processor's last bit does not matter


@dataclass(frozen=True)
class SyntheticSet:
    """A named sequence of independent frames; frame i depends on the set's seed domain and i alone."""

    name: str
    frames: int
    seed_domain: SeedDomain
    draw_coefficients: Callable[[HandAsset, np.random.Generator], Float64]
    joint_names: tuple[str, ...] = HAND21
    handedness: Handedness = Handedness.RIGHT

    def __len__(self) -> int:
        return self.frames

    def __iter__(self) -> Iterator[LabeledFrame]:
        asset = load_hand_asset()
        for index in range(self.frames):
            scene, random = self._draw(asset, index)
            sensor = draw_sensor(random, DEPTH_UNIT_MM, HEIGHT_PX, WIDTH_PX)
            yield observe(asset, scene, sensor, index, index * FRAME_NS)

    def scenes(self) -> Iterator[Scene]:
        """What the frames show, without drawing them."""
        asset = load_hand_asset()
        for index in range(self.frames):
            yield self._draw(asset, index)[0]

    def _draw(self, asset: HandAsset, index: int) -> tuple[Scene, np.random.Generator]:
        random = np.random.default_rng([self.seed_domain, index])
        shape = shape_hand(asset, self.draw_coefficients(asset, random))
        _, hand = sample_pose(asset, shape.anchors_mm, random)
        return draw_scene(asset, shape, hand, WHOLE, random), random


SETS = {
    "val": SyntheticSet("synthetic:val", 2000, SeedDomain.VALIDATION, held_out_coefficients),
    "calib": SyntheticSet("synthetic:calib", 512, SeedDomain.CALIBRATION, train_coefficients),
}


def open_synthetic(which: str) -> Dataset:
    """The set `synthetic:which`.

    Raises DatasetError if there is no set of that name.
    """
    known: dict[str, Dataset] = {**SETS, **HARD_SETS}
    if which not in known:
        raise DatasetError(f"data set 'synthetic:{which}': no such set; known: {', '.join(sorted(known))}")
    return known[which]


def label_digest(data: SyntheticSet) -> str:
    """SHA-256, in hex, of all joints in steps of LABEL_STEP_MM as little-endian int32, frame by frame."""
    digest = hashlib.sha256()
    for scene in data.scenes():
        steps: NDArray[np.int32] = np.rint(scene.joints_mm / LABEL_STEP_MM).astype("<i4")
        digest.update(steps.tobytes())
    return digest.hexdigest()
