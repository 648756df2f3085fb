"""The values that flow through the tracker: DepthFrame -> HandCrop -> (engine) -> NormalizedJoints -> HandPose.

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
    """Where the capture time of a frame comes from; all are mapped to CLOCK_MONOTONIC."""

    ARRIVAL = 0  # when the host received the frame
    CAMERA = 1  # the sensor's own clock, mapped to the host's
    RECORDING = 2  # replayed: the recorded spacing, shifted to now


class Handedness(IntEnum):
    """Which hand of the person it is."""

    UNKNOWN = 0
    LEFT = 1
    RIGHT = 2


@dataclass(frozen=True)
class DepthFrame:
    """One depth image; depth is (height, width) uint16, times depth_unit_mm gives mm along z, 0 where nothing was measured.

    on_gpu is the same image where a GPU can read it, if the camera has put it there.
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
                f"depth frame {self.frame_number}: depth must be uint16 of shape {wanted} as its intrinsics say, "
                f"found {self.depth.dtype} of shape {self.depth.shape}"
            )
        if not (np.isfinite(self.depth_unit_mm) and self.depth_unit_mm > 0):
            raise ValueError(
                f"depth frame {self.frame_number}: depth unit must be positive, found {self.depth_unit_mm!r} mm"
            )


class HandRoi(NamedTuple):
    """One cube to look into: its center (3,) in the camera frame and full side, mm; whether x is negated about the center."""

    center_mm: Array
    cube_mm: float
    is_mirrored: bool


@dataclass(frozen=True)
class HandCrop:
    """The network's view of one hand: an orthographic image of the cube around it.

    depth is (128, 128) float32 in [-1, 1]: -1 the near face of the cube, +1 the far face and the background.
    view says which cube it is, and whether the crop is mirrored.
    """

    depth: Array
    view: HandRoi


@dataclass(frozen=True)
class NormalizedJoints:
    """What the network says of one crop: xyz (J, 3) in half cube sides about its center; guidance (J, 32, 32) where the model has it.

    right_logit is the logit of the crop, as it was shown, being that of a right hand; 0 where the model does not say. spread (J, 3) is
    the standard deviation of the votes for each joint, in half cube sides, where the model takes votes.
    """

    xyz: Array
    guidance: Array | None
    right_logit: float = 0.0
    spread: Array | None = None


@dataclass(frozen=True)
class HandPose:
    """One tracked hand: joints (21, 3) in the camera frame in mm with the error (21,) that each is expected to have, in mm.

    view is the cube that the network was shown.
    """

    xyz_camera_mm: Float32
    expected_error_mm: Float32
    view: HandRoi
    track_id: int
    handedness: Handedness
    handedness_confidence: float
    confidence: float
    is_valid: bool
    is_tracked: bool
    is_extrapolated: bool
    frame_number: int
    capture_ns: int
