"""Drawn scenes of discs in depth, and engines that answer from the pixels: what the tracker is tried on, in milliseconds."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from handmap.bundle.confidence import ConfidenceTable
from handmap.bundle.tensors import Tensors
from handmap.engines.engine import EngineOutput
from handmap.geometry.crop import crop_hand
from handmap.tracking.fitted_hands import UNFITTED
from handmap.tracking.tracker_settings import TrackerSettings
from handmap.types.arrays import Array, Float32, Int32, Uint16
from handmap.types.intrinsics import Intrinsics
from handmap.types.joints import JOINT_COUNT
from handmap.types.values import GUIDANCE_PX, DepthFrame, Handedness, HandRoi

INTRINSICS = Intrinsics(640, 480, 475.0, 475.0, 319.5, 239.5)
CUBE_MM = 250.0
TABLE = ConfidenceTable((0.0, 1.0), (60.0, 5.0), (0.0, 1.0), (0.0, 1.0))
DOUBTFUL = ConfidenceTable((0.0, 1.0), (60.0, 5.0), (0.0, 1.0), (0.0, 0.8))  # never surer than that of a hand

SOMEWHERE = HandRoi(
    np.array([0, 0, 450], np.float32), CUBE_MM, False
)  # where a pose was seen, for tests that do not care


class NoClock:
    def stage(self, name: str) -> AbstractContextManager[None]:
        return nullcontext()

    def now_ns(self) -> int:
        return 0


class CentroidEngine:
    """Puts all joints on a small square around the middle of what its crop shows; is sure of small things only.

    A hand fills part of a cube, a torso fills all of it: that is enough of a judge for these scenes.
    """

    precision = "fp32"
    tensors = Tensors((), ())

    def __init__(self, batch: int = 1) -> None:
        self.batch = batch
        self.calls = 0
        self.answer_nan = False

    def infer(self, depth: Array) -> EngineOutput:
        assert depth.shape == (self.batch, 1, 128, 128) and depth.dtype == np.float32
        self.calls += 1
        joints = np.zeros((self.batch, JOINT_COUNT, 3), np.float32)
        guidance = np.zeros((self.batch, JOINT_COUNT, GUIDANCE_PX, GUIDANCE_PX), np.float32)
        for index, image in enumerate(depth[:, 0]):
            rows, columns = np.nonzero(image < 1)
            if len(rows):
                corner = np.array([columns.mean(), rows.mean()]) / 64 - 1
                joints[index, :, :2] = corner
                joints[index, 0, :2] -= 0.1
                joints[index, 1, :2] += 0.1
                joints[index, :, 2] = np.median(image[rows, columns])
                guidance[index] = 1.0 if len(rows) < 128 * 128 * 0.6 else 0.0
        if self.answer_nan:
            joints[:] = np.nan
        return EngineOutput(joints, guidance)

    def close(self) -> None:
        pass


def settings(max_hands: int = 1, handedness: Handedness = Handedness.RIGHT) -> TrackerSettings:
    return TrackerSettings(
        np, CUBE_MM, (220.0, 280.0), TABLE, handedness, max_hands, (150.0, 1000.0), 5, 0.5, skeleton=UNFITTED
    )


def scene(*balls: tuple[float, float, float, float], number: int = 0, capture_ns: int = 0) -> DepthFrame:
    depth: Uint16 = np.zeros((480, 640), np.uint16)
    v, u = np.mgrid[:480, :640]
    for x, y, z, radius in sorted(balls, key=lambda ball: -ball[2]):
        disc = (u - INTRINSICS.cx_px - x / z * 475) ** 2 + (v - INTRINSICS.cy_px - y / z * 475) ** 2 < (
            radius / z * 475
        ) ** 2
        depth[disc] = int(z)
    return DepthFrame(depth, 1.0, INTRINSICS, number, capture_ns)


class PalmsAt:
    """A palm engine that reports one place in the small picture, whatever that shows."""

    precision = "fp32"
    tensors = Tensors((), ())

    def __init__(self, row: int, column: int, size: float) -> None:
        self.calls = 0
        self.answer = np.full((3, 24, 32), -9, np.float32)
        self.answer[:, row, column] = (5, size, 0)
        self.answer[1] = size

    def infer(self, depth_small: Array) -> Float32:
        assert depth_small.shape == (96, 128)
        self.calls += 1
        return self.answer

    def close(self) -> None:
        pass


class CroppingCentroidEngine(CentroidEngine):
    """Crops by itself, as an engine on a GPU does."""

    def infer_rois(self, frame: DepthFrame, rois: Sequence[HandRoi]) -> tuple[EngineOutput, Int32]:
        depth = np.ones((self.batch, 1, 128, 128), np.float32)
        for place, roi in enumerate(rois):
            depth[place, 0] = crop_hand(np, frame, *roi).depth
        return self.infer(depth), (depth < 1).sum(axis=(1, 2, 3)).astype(np.int32)
