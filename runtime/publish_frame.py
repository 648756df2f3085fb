"""Hands in the frame of reference that publish.frame asks for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from handmap.protocol.fields import FrameOfReference
from handmap.protocol.packet import PacketHand
from handmap.skeleton.orientation import rotations_of
from handmap.types.arrays import Float64

from .publish_config import FrameConfig


@dataclass(frozen=True)
class PublishFrame:
    """The published frame: its name, and rotation (3, 3) and translation_m (3,) from the camera's coordinates to its own."""

    name: str
    kind: FrameOfReference
    rotation: Float64
    translation_m: Float64

    @property
    def rows(self) -> tuple[tuple[float, float, float, float], ...] | None:
        """Three rows of rotation and translation for INFO; None for the camera's own frame."""
        if self.kind is FrameOfReference.CAMERA:
            return None
        x, y, z = np.column_stack((self.rotation, self.translation_m)).tolist()
        return tuple(x), tuple(y), tuple(z)

    def place(self, hands: Sequence[PacketHand]) -> tuple[PacketHand, ...]:
        """The hands with their joints in this frame; orientations are made in it."""
        if self.kind is FrameOfReference.CAMERA:
            return tuple(hands)
        return tuple(
            replace(hand, xyz_m=(hand.xyz_m @ self.rotation.T + self.translation_m).astype(np.float32))
            for hand in hands
        )


CAMERA_FRAME = PublishFrame("camera", FrameOfReference.CAMERA, np.eye(3), np.zeros(3))


def publish_frame(config: FrameConfig | None) -> PublishFrame:
    """The frame of a configuration."""
    if config is None:
        return CAMERA_FRAME
    rotation, position_m = rotations_of(np.array(config.quaternion)), np.array(config.position_m)
    return PublishFrame(config.name, FrameOfReference.CONFIGURED, rotation, position_m)
