"""Converts between ROS messages and this project's values: depth images, camera info, joint labels; reader.py reads bags."""

import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from handmap.files.images import decode_depth_png
from handmap.types.arrays import Bool, Float32, Uint8, Uint16
from handmap.types.errors import RecordingError
from handmap.types.intrinsics import Intrinsics
from handmap.types.joints import JOINT_COUNT
from handmap.types.values import Handedness

IMAGE: Final = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE: Final = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO: Final = "sensor_msgs/msg/CameraInfo"
POINT_CLOUD: Final = "sensor_msgs/msg/PointCloud2"
FLOAT64: Final = "std_msgs/msg/Float64"

# Topic names in our own recordings; the first two match realsense-ros.
DEPTH_TOPIC: Final = "/camera/depth/image_rect_raw"
INFO_TOPIC: Final = "/camera/depth/camera_info"
UNIT_TOPIC: Final = "/handmap/depth_unit_mm"
JOINTS_TOPIC: Final = "/handmap/joints"
FRAME_ID: Final = "camera_depth_optical_frame"

# Unit for third-party 32FC1 bags (meters) that name none: a quarter of a millimeter spans 16.4 m in 16 bits and is
# finer than any sensor.
FOREIGN_FLOAT_UNIT_MM: Final = 0.25
# A joint in a bag: meters as RViz and Foxglove expect, then whether the camera sees it, and the handedness.
_JOINT: Final = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("visible", "u1"), ("handedness", "u1")])
JOINT_STEP_BYTES: Final = _JOINT.itemsize
# sensor_msgs/PointField: name, offset, datatype (7 float32, 2 uint8).
JOINT_FIELDS: Final = (("x", 0, 7), ("y", 4, 7), ("z", 8, 7), ("visible", 12, 2), ("handedness", 13, 2))
# image_transport puts an enum and two float32 quantization parameters before the picture.
_COMPRESSED_DEPTH_HEADER_BYTES: Final = 12


def is_depth_message(message: Any, msgtype: str, topic: str) -> bool:
    """Whether an image message carries depth: by its encoding, and by its topic if infrared images share that encoding."""
    if msgtype == COMPRESSED_IMAGE:
        return "compressedDepth" in message.format
    return message.encoding in ("16UC1", "32FC1") or (message.encoding == "mono16" and "depth" in topic.lower())


def depth_from_message(message: Any, msgtype: str, unit_mm: float, topic: str) -> Uint16:
    """The (height, width) uint16 depth in units of unit_mm of an image message.

    Raises RecordingError for an unsupported encoding or layout.
    """
    if msgtype == COMPRESSED_IMAGE:
        return _decompress(message, topic)
    shape = (message.height, message.width)
    item = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4"}.get(message.encoding)
    if item is None:
        raise RecordingError(
            f"topic {topic!r}: found an image with encoding {message.encoding!r}, wanted 16UC1, mono16 or 32FC1; "
            "use a depth topic"
        )
    order = ">" if message.is_bigendian else "<"
    row_bytes = message.width * np.dtype(item).itemsize
    if message.step < row_bytes or len(message.data) != message.step * message.height:
        raise RecordingError(
            f"topic {topic!r}: an image of {shape} has {len(message.data)} bytes in steps of {message.step}; it was "
            "recorded wrongly"
        )
    rows = np.asarray(message.data).reshape(message.height, message.step)[:, :row_bytes]
    values = np.ascontiguousarray(rows).view(np.dtype(order + item))
    if item == "f4":
        return _to_units(values, unit_mm)
    return values.astype(np.uint16)


def meters_from_depth(depth: Uint16, unit_mm: float) -> Float32:
    """Depth as float32 meters; `depth_from_message` restores it without loss."""
    return (depth * (unit_mm / 1000)).astype(np.float32)


def intrinsics_from_message(message: Any) -> Intrinsics:
    """The pinhole intrinsics of a CameraInfo message; distortion is ignored, as cameras rectify their depth streams."""
    matrix = message.k if hasattr(message, "k") else message.K  # upper case in ROS 1
    return Intrinsics(
        int(message.width), int(message.height), float(matrix[0]), float(matrix[4]), float(matrix[2]), float(matrix[5])
    )


def pack_joints(xyz_camera_mm: Float32, is_visible: Bool, handedness: Handedness) -> Uint8:
    """The bytes of a point cloud, one point per joint, in meters."""
    points = np.zeros(len(xyz_camera_mm), _JOINT)
    for axis, name in enumerate("xyz"):
        points[name] = xyz_camera_mm[:, axis] / 1000
    points["visible"] = is_visible
    points["handedness"] = handedness
    return points.view(np.uint8)


def unpack_joints(data: Sequence[int] | Uint8, topic: str) -> tuple[Float32, Bool, Handedness]:
    """Joints (21, 3) in mm, visibility (21,) and handedness from a point cloud made by `pack_joints`.

    Raises RecordingError if it is a different cloud.
    """
    content = np.asarray(data, np.uint8).tobytes()
    if len(content) != JOINT_COUNT * JOINT_STEP_BYTES:
        raise RecordingError(
            f"topic {topic!r}: found {len(content)} bytes of labels, wanted {JOINT_COUNT * JOINT_STEP_BYTES} for "
            f"{JOINT_COUNT} joints"
        )
    points = np.frombuffer(content, _JOINT)
    xyz_camera_mm = np.stack([points[name] for name in "xyz"], axis=-1) * np.float32(1000)
    return xyz_camera_mm.astype(np.float32), points["visible"].astype(bool), Handedness(int(points["handedness"][0]))


def _decompress(message: Any, topic: str) -> Uint16:
    """compressedDepth of image_transport: 12 bytes, then a PNG; only 16UC1, which is lossless, is supported."""
    content = np.asarray(message.data, np.uint8).tobytes()
    kind = message.format.split(";")[0].strip()
    if kind not in ("16UC1", "mono16"):
        raise RecordingError(
            f"topic {topic!r}: found compressed depth of kind {message.format!r}, wanted 16UC1; record the raw depth "
            "topic instead"
        )
    (method,) = struct.unpack_from("<i", content) if len(content) > _COMPRESSED_DEPTH_HEADER_BYTES else (0,)
    start = 0 if content[:4] == b"\x89PNG" else _COMPRESSED_DEPTH_HEADER_BYTES
    if content[start : start + 4] != b"\x89PNG":
        raise RecordingError(
            f"topic {topic!r}: compressed depth of method {method} is not PNG; set png as the transport's format and "
            "record again"
        )
    return decode_depth_png(content[start:], topic)


def _to_units(meters: Float32, unit_mm: float) -> Uint16:
    """Depth in meters as whole units; NaN, infinity and values beyond 16 bits become 0, which means not measured."""
    units = np.rint(np.nan_to_num(meters.astype(np.float64), nan=0, posinf=0, neginf=0) * (1000 / unit_mm))
    return np.where((units > 0) & (units <= 65535), units, 0).astype(np.uint16)
