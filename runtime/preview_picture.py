"""What a preview shows of a frame: copied by the main loop, made into a message by the preview's thread."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from handmap.protocol.fields import DaemonState
from handmap.protocol.preview import Cube, Picture, Point, PreviewHand, deflate
from handmap.system.timing import StageClock
from handmap.types.arrays import Array, Uint16
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame, HandPose, HandRoi

from .state import DaemonStatus

WIDTH_PX: Final = 320  # of a picture, about


class Seen(NamedTuple):
    """Every step-th pixel (h, w) of a frame, with the frame's own intrinsics, and what was found in it."""

    frame_number: int
    capture_ns: int
    intrinsics: Intrinsics
    depth_unit_mm: float
    step: int
    depth: Uint16
    poses: tuple[HandPose, ...]
    proposals: tuple[HandRoi, ...]
    state: DaemonState
    reason: str
    stages_ms: dict[str, float]
    camera_to_frame: tuple[tuple[float, float, float, float], ...] | None


def look(
    frame: DepthFrame, poses: Sequence[HandPose], proposals: Sequence[HandRoi], status: DaemonStatus, clock: StageClock,
    camera_to_frame: tuple[tuple[float, float, float, float], ...] | None,
) -> Seen:  # fmt: skip
    """Copies what is shown: the camera may use the frame's memory again."""
    step = max(round(frame.intrinsics.width_px / WIDTH_PX), 1)
    depth = frame.depth[::step, ::step].copy()
    state, reason = status.reported
    return Seen(
        frame.frame_number, frame.capture_ns, frame.intrinsics, frame.depth_unit_mm, step, depth, tuple(poses), tuple(proposals),
        state, reason, clock.newest_ms(), camera_to_frame,
    )  # fmt: skip


def picture_of(seen: Seen) -> Picture:
    """The message."""
    lens, step = seen.intrinsics, seen.step
    height_px, width_px = seen.depth.shape
    return Picture(
        seen.frame_number, seen.capture_ns, seen.state, seen.reason, width_px, height_px, lens.fx_px / step,
        lens.fy_px / step, lens.cx_px / step, lens.cy_px / step, seen.depth_unit_mm, deflate(seen.depth),
        tuple(_hand(pose) for pose in seen.poses), tuple(_cube(roi) for roi in seen.proposals), seen.stages_ms,
        seen.camera_to_frame,
    )  # fmt: skip


def _hand(pose: HandPose) -> PreviewHand:
    return PreviewHand(
        pose.track_id, pose.handedness, _cube(pose.roi), tuple(_point(joint) for joint in pose.xyz_camera_mm),
        tuple(pose.expected_error_mm.tolist()), float(pose.confidence), bool(pose.is_valid),
    )  # fmt: skip


def _cube(roi: HandRoi) -> Cube:
    return Cube(_point(roi.center_mm), float(roi.cube_mm))


def _point(xyz_mm: Array) -> Point:
    x, y, z = xyz_mm.tolist()
    return x, y, z
