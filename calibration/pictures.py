"""What the palm graph sees of frames: small pictures of them, with their lenses and, where there are labels, the true places of hands."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from handmap.tracking.palm_view import SMALL_COLUMNS, SMALL_ROWS, shrink
from handmap.tracking.track import cube_centre
from handmap.types.arrays import Float32
from handmap.types.intrinsics import Intrinsics

from .footage import Shot


@dataclass(frozen=True)
class Pictures:
    """depth_small (N, 1, 96, 128); lens (N, 4) as fx, fy, cx, cy in its cells; centre_mm (N, 3) of the labelled hand's cube in the camera
    frame, NaN where unknown. All float32."""

    depth_small: Float32
    lens: Float32
    centre_mm: Float32

    def __len__(self) -> int:
        return len(self.depth_small)

    @property
    def has_truth(self) -> bool:
        """Whether every picture has a label."""
        return len(self) > 0 and bool(np.isfinite(self.centre_mm).all())

    def lens_of(self, index: int) -> Intrinsics:
        """The lens of one picture."""
        return Intrinsics(SMALL_COLUMNS, SMALL_ROWS, *self.lens[index].tolist())


def picture_of(shot: Shot) -> Pictures:
    """The one picture of a frame."""
    view = shrink(np, shot.frame)
    lens = np.array([[view.lens.fx_px, view.lens.fy_px, view.lens.cx_px, view.lens.cy_px]], np.float32)
    centre_mm = np.full(3, np.nan, np.float32) if shot.truth_mm is None else cube_centre(shot.truth_mm)
    return Pictures(view.depth_small[None, None], lens, centre_mm[None])


def join_pictures(parts: Sequence[Pictures]) -> Pictures:
    """All of them, in order; none of none."""
    none = Pictures(
        np.empty((0, 1, SMALL_ROWS, SMALL_COLUMNS), np.float32),
        np.empty((0, 4), np.float32),
        np.empty((0, 3), np.float32),
    )
    every = [none, *parts]
    return Pictures(
        np.concatenate([one.depth_small for one in every]),
        np.concatenate([one.lens for one in every]),
        np.concatenate([one.centre_mm for one in every]),
    )
