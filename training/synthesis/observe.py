"""A scene as a camera would deliver it: a full depth frame with the true joints and which of them it can see."""

import numpy as np

from handmap.geometry.visibility import FLESH_MM
from handmap.recording.datasets import LabeledFrame
from handmap.types.arrays import Bool, Float32, Float64
from handmap.types.intrinsics import Intrinsics, project
from handmap.types.values import DepthFrame, Handedness, TimestampSource

from ..hand.hand_model import HandAsset
from .scene import FULL_IMAGE, Scene, render_scene
from .sensor import Sensor, sense

FRAME_NS = 33_333_333  # between frames of a camera at 30 Hz


def observe(asset: HandAsset, scene: Scene, sensor: Sensor, frame_number: int, capture_ns: int) -> LabeledFrame:
    """The frame that the sensor makes of the whole image; visibility is judged before noise."""
    z_mm, is_hand = render_scene(asset, scene, FULL_IMAGE)
    depth, _ = sense(z_mm, is_hand, scene.intrinsics.fx_px, sensor)
    frame = DepthFrame(
        depth, sensor.depth_unit_mm, scene.intrinsics, frame_number, capture_ns, TimestampSource.RECORDING
    )
    joints = scene.joints_mm.astype(np.float32)
    return LabeledFrame(
        frame, joints, visible_joints(scene.joints_mm, scene.intrinsics, z_mm, is_hand), Handedness.RIGHT
    )


def visible_joints(joints_mm: Float64, intrinsics: Intrinsics, z_mm: Float32, is_hand: Bool) -> Bool:
    """For each joint (21, 3), whether it is in the image and only its own flesh is before it."""
    uv: Float64 = project(np, joints_mm, intrinsics)
    column, row = np.rint(uv).astype(int).T
    height, width = z_mm.shape
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    row, column = np.where(inside, row, 0), np.where(inside, column, 0)
    is_near: Bool = z_mm[row, column] > joints_mm[:, 2] - FLESH_MM
    is_visible: Bool = inside & is_hand[row, column] & is_near
    return is_visible
