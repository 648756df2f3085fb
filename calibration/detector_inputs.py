"""Inputs of the palm graph: downsampled frames with their intrinsics and, if labeled, the true positions of hands."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from handmap.recording.datasets import label_center
from handmap.tracking.palm_detector import INPUT_COLUMNS, INPUT_ROWS, encode_depth
from handmap.types.arrays import Float32
from handmap.types.intrinsics import Intrinsics

from .frame_source import Sample


@dataclass(frozen=True)
class DetectorInputs:
    """depth_small (N, 1, 96, 128); intrinsics (N, 4), fx, fy, cx, cy in cells; center_mm (N, 3) of the labeled hand's
    cube in the camera frame, NaN if unknown. All float32."""

    depth_small: Float32
    intrinsics: Float32
    center_mm: Float32

    def __len__(self) -> int:
        return len(self.depth_small)

    @property
    def has_truth(self) -> bool:
        """Whether every frame is labeled."""
        return len(self) > 0 and bool(np.isfinite(self.center_mm).all())

    def intrinsics_of(self, index: int) -> Intrinsics:
        """The intrinsics of one frame."""
        return Intrinsics(INPUT_COLUMNS, INPUT_ROWS, *self.intrinsics[index].tolist())


def detector_input_of(sample: Sample) -> DetectorInputs:
    """The detector input of one frame."""
    view = encode_depth(np, sample.frame)
    intrinsics = np.array(
        [[view.intrinsics.fx_px, view.intrinsics.fy_px, view.intrinsics.cx_px, view.intrinsics.cy_px]], np.float32
    )
    center_mm = np.full(3, np.nan, np.float32) if sample.truth_mm is None else label_center(sample.truth_mm)
    return DetectorInputs(view.depth_small[None, None], intrinsics, center_mm[None])


def join_inputs(parts: Sequence[DetectorInputs]) -> DetectorInputs:
    """All parts concatenated in order; empty for no parts."""
    none = DetectorInputs(
        np.empty((0, 1, INPUT_ROWS, INPUT_COLUMNS), np.float32),
        np.empty((0, 4), np.float32),
        np.empty((0, 3), np.float32),
    )
    every = [none, *parts]
    return DetectorInputs(
        np.concatenate([one.depth_small for one in every]),
        np.concatenate([one.intrinsics for one in every]),
        np.concatenate([one.center_mm for one in every]),
    )
