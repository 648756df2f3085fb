"""Estimates poses in cubes of a frame: crop, network, decode; step by step with NumPy, or on the GPU if the engine can crop."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from handmap.bundle.confidence import ConfidenceTable, expected_errors_mm, hand_probability, read_signals
from handmap.engines.engine import CroppingEngine, Engine, EngineOutput
from handmap.geometry.crop import crop_hand
from handmap.geometry.decode_joints import decode_joints
from handmap.tracking.track import cube_center
from handmap.types.arrays import ArrayModule, Float32
from handmap.types.errors import EngineFailed
from handmap.types.values import DepthFrame, HandCrop, HandRoi, NormalizedJoints

MAX_HALF_CUBES = 100.0  # distance of a joint from its cube beyond which an engine's output is garbage
REFINE_BEYOND_MM = 25.0  # training jitters the center by about this much; beyond it a second estimate pays off


class StageTimer(Protocol):
    """Times named stages, and reads the clock; see `handmap.system.timing`."""

    def stage(self, name: str) -> AbstractContextManager[None]: ...
    def now_ns(self) -> int: ...


class EstimatorSettings(Protocol):
    """What pose estimation needs to know about the model and where arrays live."""

    @property
    def xp(self) -> ArrayModule: ...
    @property
    def confidence(self) -> ConfidenceTable: ...


@dataclass(frozen=True)
class PoseEstimate:
    """The result of one estimate in a cube: joints (J, 3) and their expected errors (J,), camera frame, mm.

    confidence is the probability that the cube shows a hand, 0 for an empty cube. right_logit is that of a right hand,
    however the view was mirrored; 0 if the model does not predict handedness.
    """

    xyz_camera_mm: Float32
    expected_error_mm: Float32
    roi: HandRoi
    confidence: float
    right_logit: float
    is_empty: bool

    @property
    def center_mm(self) -> Float32:
        """Center of the estimated hand, where the next cube is placed."""
        return cube_center(self.xyz_camera_mm)

    def with_handedness(self, is_left: bool) -> "PoseEstimate":
        """The same estimate, to be repeated with this handedness."""
        return replace(self, roi=self.roi._replace(is_mirrored=is_left))


def estimate_poses(
    frame: DepthFrame, rois: Sequence[HandRoi], engine: Engine, settings: EstimatorSettings, clock: StageTimer
) -> list[PoseEstimate]:
    """Estimates the pose in each view, with as few engine calls as the batch allows.

    Raises EngineFailed if the engine fails or returns values that are not finite.
    """
    if not rois:
        return []
    if isinstance(engine, CroppingEngine):
        return _estimate_on_device(frame, rois, engine, settings, clock)
    with clock.stage("crop"):
        crops = [crop_hand(settings.xp, frame, *roi) for roi in rois]
    with clock.stage("infer"):
        answers = infer_crops(crops, engine, settings.xp)
    with clock.stage("decode"):
        return [
            _decoded(settings.xp, crop.roi, answer, bool((crop.depth >= 1).all()), settings.confidence)
            for crop, answer in zip(crops, answers, strict=True)
        ]


def re_estimate(
    frame: DepthFrame, estimates: Sequence[PoseEstimate], engine: Engine, settings: EstimatorSettings, clock: StageTimer
) -> list[PoseEstimate]:
    """Repeats each estimate in the cube centered on the hand it found."""
    return estimate_poses(
        frame, [seen.roi._replace(center_mm=seen.center_mm) for seen in estimates], engine, settings, clock
    )


def refine_off_center(
    frame: DepthFrame, estimates: list[PoseEstimate], engine: Engine, settings: EstimatorSettings, clock: StageTimer
) -> list[PoseEstimate]:
    """The estimates, repeated wherever the hand was far from the center of its cube."""
    again = [
        index
        for index, seen in enumerate(estimates)
        if not seen.is_empty and float(np.linalg.norm(seen.center_mm - seen.roi.center_mm)) > REFINE_BEYOND_MM
    ]
    if not again:
        return estimates
    second = re_estimate(frame, [estimates[index] for index in again], engine, settings, clock)
    better = dict(zip(again, second, strict=True))
    return [better.get(index, seen) for index, seen in enumerate(estimates)]


def infer_crops(crops: Sequence[HandCrop], engine: Engine, xp: ArrayModule) -> list[NormalizedJoints]:
    """The network's output for each crop; batches are padded with empty cubes."""
    answers: list[NormalizedJoints] = []
    for first in range(0, len(crops), engine.batch):
        part = crops[first : first + engine.batch]
        depth = xp.ones((engine.batch, 1, *part[0].depth.shape), xp.float32)
        for index, crop in enumerate(part):
            depth[index, 0] = crop.depth
        answers += _answers(engine.infer(depth), len(part))
    return answers


def _estimate_on_device(
    frame: DepthFrame, rois: Sequence[HandRoi], engine: CroppingEngine, settings: EstimatorSettings, clock: StageTimer
) -> list[PoseEstimate]:
    estimates: list[PoseEstimate] = []
    for first in range(0, len(rois), engine.batch):
        part = rois[first : first + engine.batch]
        with clock.stage("infer"):
            output, filled = engine.infer_rois(frame, part)
        with clock.stage("decode"):
            for roi, answer, cells in zip(part, _answers(output, len(part)), filled, strict=False):
                estimates.append(_decoded(np, roi, answer, cells == 0, settings.confidence))
    return estimates


def _answers(output: EngineOutput, count: int) -> list[NormalizedJoints]:
    """The first `count` results of a batch. Raises EngineFailed if they are not finite, or joints are implausibly far away."""
    sane = [abs(output.joints[:count]) < MAX_HALF_CUBES]  # false for NaN too
    sane += [
        abs(other[:count]) < np.inf for other in (output.guidance, output.side, output.spread) if other is not None
    ]
    sane += [output.spread[:count] >= 0] if output.spread is not None else []
    if not all(bool(one.all()) for one in sane):
        raise EngineFailed(
            "hand engine: returned values that are not finite, or a spread below 0; check it with: handmap check"
        )
    return split_batch(output, count)


def split_batch(output: EngineOutput, count: int) -> list[NormalizedJoints]:
    """The first `count` results of a batch, one by one."""
    return [
        NormalizedJoints(
            output.joints[index],
            None if output.guidance is None else output.guidance[index],
            0.0 if output.side is None else float(output.side[index, 0]),
            None if output.spread is None else output.spread[index],
        )
        for index in range(count)
    ]


def _decoded(
    xp: ArrayModule, roi: HandRoi, answer: NormalizedJoints, is_empty: bool, table: ConfidenceTable
) -> PoseEstimate:
    signals = read_signals(xp, answer, roi.cube_mm)
    confidence = 0.0 if is_empty else hand_probability(signals, table)
    right_logit = -answer.right_logit if roi.is_mirrored else answer.right_logit
    return PoseEstimate(
        decode_joints(xp, answer, roi), expected_errors_mm(signals, table), roi, confidence, right_logit, is_empty
    )
