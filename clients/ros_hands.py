"""Hands as ROS 2 messages of the usual types: markers, poses, transforms, and the joints as a point cloud.

Whoever calls brings the message types: rosbags' own for a bag, or rclpy's in a node (docs/examples/ros2_node.py).
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from handmap.skeleton.orientation import XR26
from handmap.types.joints import BONES
from handmap.types.values import Handedness

from .hand_watch import SIDES, Moment, SeenHand
from .xr_joints import XrHand, xr_hand

MARKERS_TOPIC: Final = "/handmap/markers"
TF_TOPIC: Final = "/tf"
POSES_TOPIC: Final = "/handmap/{side}/poses"
JOINTS_TOPIC: Final = "/handmap/{side}/joints"
MARKER_ARRAY: Final = "visualization_msgs/msg/MarkerArray"
POSE_ARRAY: Final = "geometry_msgs/msg/PoseArray"
POINT_CLOUD: Final = "sensor_msgs/msg/PointCloud2"
TF: Final = "tf2_msgs/msg/TFMessage"
JOINT_FIELDS: Final = ("x", "y", "z", "expected_error")  # float32 each, meters, in the order hand21
_COLORS: Final = {Handedness.LEFT: (0.20, 0.60, 1.00), Handedness.RIGHT: (1.00, 0.55, 0.15)}
_HELD_ALPHA = 0.35
_SPHERES, _LINES, _ADD, _DELETE = 7, 5, 0, 2  # of visualization_msgs/Marker
_FLOAT32 = 7  # of sensor_msgs/PointField
_JOINT_M, _BONE_M = 0.012, 0.006


class Types(Protocol):
    """Where messages come from."""

    def make(self, msgtype: str, **fields: Any) -> Any:
        """A message of this type with these fields."""

    def octets(self, content: bytes) -> Any:
        """Bytes as a message's field of them wants them."""


@dataclass(frozen=True)
class Stamped:
    """A message, its topic and its type."""

    topic: str
    msgtype: str
    message: Any


def ros_messages(types: Types, moment: Moment, frame_id: str, epoch_offset_ns: int) -> list[Stamped]:
    """What to publish about this moment, in the frame that the joints come in.

    Markers show a held hand as pale and delete a lost one. Joints, poses and transforms are of live hands only, and of each frame once;
    poses and transforms are the 26 of OpenXR and need a skeleton. Stamps are those of the joints, ns since the epoch after adding
    epoch_offset_ns to CLOCK_MONOTONIC.
    """
    now_ns = moment.now_ns + epoch_offset_ns
    markers = [one for side in SIDES for one in _markers(types, side, moment.hands[side], frame_id, now_ns)]
    messages = [Stamped(MARKERS_TOPIC, MARKER_ARRAY, types.make(MARKER_ARRAY, markers=markers))]
    if not moment.is_new:
        return messages
    transforms: list[Any] = []
    for side in SIDES:
        seen = moment.hands[side]
        if seen is None or not seen.is_live:
            continue
        header = _header(types, seen.sample_ns + epoch_offset_ns, frame_id)
        name = side.name.lower()
        messages.append(Stamped(JOINTS_TOPIC.format(side=name), POINT_CLOUD, _cloud(types, header, seen)))
        joints = xr_hand(seen.hand, True, "as_sent")
        if joints.has_orientation:
            poses = types.make(POSE_ARRAY, header=header, poses=_poses(types, joints))
            messages.append(Stamped(POSES_TOPIC.format(side=name), POSE_ARRAY, poses))
            transforms += _transforms(types, header, name, joints)
    if transforms:
        messages.append(Stamped(TF_TOPIC, TF, types.make(TF, transforms=transforms)))
    return messages


def _markers(types: Types, side: Handedness, seen: SeenHand | None, frame_id: str, now_ns: int) -> list[Any]:
    """Spheres at the joints and lines along the bones, or what deletes them."""
    namespace = f"handmap/{side.name.lower()}"
    header = _header(types, now_ns, frame_id)
    if seen is None:
        return [_marker(types, header, namespace, number, _DELETE, [], 1.0, side) for number in (0, 1)]
    points = [
        types.make("geometry_msgs/msg/Point", x=x, y=y, z=z) for x, y, z in seen.hand.xyz_m.astype(float).tolist()
    ]
    ends = [points[joint] for bone in BONES for joint in bone]
    alpha = 1.0 if seen.is_live else _HELD_ALPHA
    return [_marker(types, header, namespace, number, _ADD, of, alpha, side) for number, of in ((0, points), (1, ends))]


def _marker(
    types: Types,
    header: Any,
    namespace: str,
    number: int,
    action: int,
    points: list[Any],
    alpha: float,
    side: Handedness,
) -> Any:
    red, green, blue = _COLORS[side]
    size = _JOINT_M if number == 0 else _BONE_M
    none = _header(types, 0, "")
    return types.make(
        "visualization_msgs/msg/Marker", header=header, ns=namespace, id=number, type=_SPHERES if number == 0 else _LINES,
        action=action, pose=_pose(types, [0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]),
        scale=types.make("geometry_msgs/msg/Vector3", x=size, y=size, z=size),
        color=types.make("std_msgs/msg/ColorRGBA", r=red, g=green, b=blue, a=alpha),
        lifetime=types.make("builtin_interfaces/msg/Duration", sec=0, nanosec=0), frame_locked=False, points=points, colors=[],
        texture_resource="", texture=types.make("sensor_msgs/msg/CompressedImage", header=none, format="", data=types.octets(b"")),
        uv_coordinates=[], text="", mesh_resource="",
        mesh_file=types.make("visualization_msgs/msg/MeshFile", filename="", data=types.octets(b"")),
        mesh_use_embedded_materials=False,
    )  # fmt: skip


def _cloud(types: Types, header: Any, seen: SeenHand) -> Any:
    values = np.column_stack([seen.hand.xyz_m, seen.hand.expected_error_m]).astype("<f4")
    fields = [
        types.make("sensor_msgs/msg/PointField", name=name, offset=4 * place, datatype=_FLOAT32, count=1)
        for place, name in enumerate(JOINT_FIELDS)
    ]
    return types.make(
        POINT_CLOUD, header=header, height=1, width=len(values), fields=fields, is_bigendian=False, point_step=values.strides[0],
        row_step=values.nbytes, data=types.octets(values.tobytes()), is_dense=True,
    )  # fmt: skip


def _poses(types: Types, joints: XrHand) -> list[Any]:
    pairs = zip(joints.positions_m.astype(float).tolist(), joints.quaternions.astype(float).tolist(), strict=True)
    return [_pose(types, position, quaternion) for position, quaternion in pairs]


def _transforms(types: Types, header: Any, side: str, joints: XrHand) -> list[Any]:
    """A frame for each joint, straight from the frame of the hand."""
    transforms = []
    for name, pose in zip(XR26, _poses(types, joints), strict=True):
        at = types.make("geometry_msgs/msg/Vector3", x=pose.position.x, y=pose.position.y, z=pose.position.z)
        turn = types.make("geometry_msgs/msg/Transform", translation=at, rotation=pose.orientation)
        child = f"handmap/{side}/{name}"
        transforms.append(
            types.make("geometry_msgs/msg/TransformStamped", header=header, child_frame_id=child, transform=turn)
        )
    return transforms


def _pose(types: Types, position: list[float], quaternion: list[float]) -> Any:
    x, y, z = position
    qx, qy, qz, qw = quaternion
    return types.make(
        "geometry_msgs/msg/Pose", position=types.make("geometry_msgs/msg/Point", x=x, y=y, z=z),
        orientation=types.make("geometry_msgs/msg/Quaternion", x=qx, y=qy, z=qz, w=qw),
    )  # fmt: skip


def _header(types: Types, stamp_ns: int, frame_id: str) -> Any:
    stamp = types.make("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return types.make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)
