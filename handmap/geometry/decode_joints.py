"""From network output to joints in the camera frame."""

from handmap.bundle.confidence import to_host
from handmap.geometry.crop import denormalize_points
from handmap.types.arrays import ArrayModule, Float32
from handmap.types.values import HandRoi, NormalizedJoints


def decode_joints(xp: ArrayModule, joints: NormalizedJoints, roi: HandRoi) -> Float32:
    """Joints (J, 3) in the camera frame, mm, on the host, for the joints predicted in a view."""
    return to_host(denormalize_points(xp, joints.xyz, roi))
