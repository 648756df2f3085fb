"""What the fit knows of the hands beyond their joints, as packets carry it."""

import numpy as np

from handmap.protocol.skeleton_block import ORIENTED, HandSkeleton
from handmap.skeleton.body import Bodies
from handmap.skeleton.gestures import Pinches, grasp_closure, pinch
from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.skeleton.hand_size import HandLength, HandSize, hand_length
from handmap.skeleton.orientation import HAND21_OF_XR26, joint_rotations, quaternions_of
from handmap.types.arrays import Float64

_OF_XR26 = [HAND21_OF_XR26.tolist().index(joint) for joint in ORIENTED]


class Skeletons:
    """The skeletons of each frame in turn; a pinch that has begun lasts until the fingers part."""

    def __init__(self) -> None:
        self._pinches: Pinches | None = None
        self._measured: tuple[HandSize, HandLength] | None = None

    def of(self, bodies: Bodies | None, rotation: Float64) -> tuple[HandSkeleton, ...]:
        """The skeleton of each hand; rotation (3, 3) turns the camera's axes to those of the frame to publish in."""
        if bodies is None:
            self._pinches = None
            return ()
        self._pinches = pinches = pinch(bodies, self._pinches)
        quaternions = quaternions_of(rotation @ joint_rotations(bodies.hands)[:, _OF_XR26]).astype(np.float32)
        closures = grasp_closure(bodies.hands)
        length = self._length(bodies.size)
        return tuple(
            HandSkeleton(
                quaternions=quaternions[row],
                angles=bodies.hands.angles[row].astype(np.float32),
                pinch_strength=pinches.strength[row].astype(np.float32),
                is_pinching=pinches.is_on[row],
                grasp_closure=float(closures[row]),
                hand_length_m=float(length.length_mm[row]) / 1000,
                hand_length_error_m=float(length.deviation_mm[row]) / 1000,
                is_size_held=bool(bodies.size.is_held[row]),
            )
            for row in range(len(bodies.track_ids))
        )

    def _length(self, size: HandSize) -> HandLength:
        """The hands' lengths; sizes that are held stay the same object from frame to frame."""
        if self._measured is None or self._measured[0] is not size:
            self._measured = size, hand_length(load_skeleton_model(), size)
        return self._measured[1]
