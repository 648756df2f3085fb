"""The values that pass through the tracker: DepthFrame -> HandCrop -> (engine) -> NormalizedJoints -> HandPose.

Each is frozen, validated once, and carries what is needed to undo its step. Arrays are NumPy on the host or CuPy on a GPU.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from handmap.types.arrays import Array, Float32
from handmap.types.intrinsics import Intrinsics

CROP_PX = 128
GUIDANCE_PX = 32


class TimestampSource(IntEnum):
    """The source of a frame's capture time; all are mapped to CLOCK_MONOTONIC."""

    ARRIVAL = 0  # when the host received the frame
    CAMERA = 1  # the sensor's own clock, mapped to the host's
    RECORDING = 2  # replayed: recorded spacing, shifted to the present
    UNKNOWN = 255  # stated by a sender of a newer version


class Handedness(IntEnum):
    """Which hand of the person it is."""

    UNKNOWN = 0
    LEFT = 1
    RIGHT = 2


@dataclass(frozen=True)
class DepthFrame:
    """One depth image; depth is (height, width) uint16; times depth_unit_mm it is mm along z; 0 means not measured.

    on_gpu is the same image in GPU-readable memory, if the camera provides it.
    """

    depth: Array
    depth_unit_mm: float
    intrinsics: Intrinsics
    frame_number: int
    capture_ns: int  # CLOCK_MONOTONIC
    timestamp_source: TimestampSource = TimestampSource.ARRIVAL
    on_gpu: Array | None = None

    def __post_init__(self) -> None:
        wanted = (self.intrinsics.height_px, self.intrinsics.width_px)
        if self.depth.dtype != np.uint16 or self.depth.shape != wanted:
            raise ValueError(
                f"depth frame {self.frame_number}: depth must be uint16 of shape {wanted} to match its intrinsics, "
                f"found {self.depth.dtype} of shape {self.depth.shape}"
            )
        if not (np.isfinite(self.depth_unit_mm) and self.depth_unit_mm > 0):
            raise ValueError(
                f"depth frame {self.frame_number}: depth unit must be positive, found {self.depth_unit_mm!r} mm"
            )


class HandRoi(NamedTuple):
    """The cube around one hand: center (3,) in the camera frame and full side, mm; whether x is negated about the center."""

    center_mm: Array
    cube_mm: float
    is_mirrored: bool


@dataclass(frozen=True)
class HandCrop:
    """The network's input for one hand: an orthographic image of the cube around it.

    depth is (128, 128) float32 in [-1, 1]: -1 the near face of the cube, +1 the far face and the background.
    view is the cube, and whether the crop is mirrored.
    """

    depth: Array
    roi: HandRoi


@dataclass(frozen=True)
class NormalizedJoints:
    """The network's output for one crop: xyz (J, 3) in half cube sides about its center; guidance (J, 32, 32) if the model has it.

    right_logit is the logit that the crop, as shown, is a right hand; 0 if the model does not predict it. spread (J, 3) is the
    standard deviation of the votes for each joint, in half cube sides, if the model uses votes.
    """

    xyz: Array
    guidance: Array | None
    right_logit: float = 0.0
    spread: Array | None = None


@dataclass(frozen=True)
class HandPose:
    """One tracked hand: joints (21, 3) in the camera frame in mm with their expected errors (21,), in mm.

    raw_xyz_camera_mm and raw_expected_error_mm are the network's own, before any fit, smoothing or extrapolation; None where they
    were not kept.
    roi is the cube that the crop was taken from.
    """

    xyz_camera_mm: Float32
    expected_error_mm: Float32
    roi: HandRoi
    track_id: int
    handedness: Handedness
    handedness_confidence: float
    confidence: float
    is_valid: bool
    is_tracked: bool
    is_extrapolated: bool
    frame_number: int
    capture_ns: int
    raw_xyz_camera_mm: Float32 | None = None
    raw_expected_error_mm: Float32 | None = None
