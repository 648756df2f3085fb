"""Converts between ROS messages and this project's values: camera info, joint labels; depth_images.py has the images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from handmap.types.arrays import Bool, Float32, Uint8, Uint16
from handmap.types.distortion import Distortion
from handmap.types.errors import RecordingError
from handmap.types.intrinsics import FOCAL_PX, Intrinsics
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

SDK_UNIT_SUFFIXES: Final = ("option/Depth Units/value", "option/Depth_Units/value")  # librealsense, meters per unit

# A joint in a bag: meters as RViz and Foxglove expect, then whether the camera sees it, the handedness, and, of labels that are
# not taken for exact, their standard deviation in meters.
_JOINT: Final = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("visible", "u1"), ("handedness", "u1")])
_DOUBTED_JOINT: Final = np.dtype([*_JOINT.descr, ("doubt", "<f4")])
_POINT_FIELD: Final = {np.dtype("<f4"): 7, np.dtype("u1"): 2}  # sensor_msgs/PointField: FLOAT32, UINT8


@dataclass(frozen=True)
class Lens:
    """What a depth image was taken through: its intrinsics, and its distortion if it is not rectified."""

    intrinsics: Intrinsics
    distortion: Distortion | None = None


def meters_from_depth(depth: Uint16, unit_mm: float) -> Float32:
    """Depth as float32 meters; `read_depth` restores it without loss."""
    return (depth * (unit_mm / 1000)).astype(np.float32)


def has_matrix(message: Any) -> bool:
    """Whether a CameraInfo message states a lens; a driver without a calibration leaves the matrix zero."""
    if message is None:
        return False
    k = _matrix(message, "k")
    low, high = FOCAL_PX
    return bool(np.isfinite(k).all() and (np.abs(k) <= high).all() and min(k[0], k[4]) >= low)


def lens_from_message(message: Any, size: tuple[int, int], is_rectified: bool) -> Lens | None:
    """The lens of an image of `size` (width, height) from its CameraInfo message; None if that is of another size.

    ROS states the matrix for the whole sensor: binning and the region of interest are applied unless the size is the
    image's already. A rectified image has the projection matrix and no distortion.
    Raises ValueError for a distortion model that is not known.
    """
    p = _matrix(message, "p")
    use_p = is_rectified and len(p) == 12 and p[0] > 0 and p[5] > 0
    fx, fy, cx, cy = (p[0], p[5], p[2], p[6]) if use_p else (_matrix(message, "k")[place] for place in (0, 4, 2, 5))
    stated = (int(message.width), int(message.height))
    if stated not in (size, (0, 0)):
        bins = max(int(message.binning_x), 1), max(int(message.binning_y), 1)
        roi = message.roi
        whole = (int(roi.width) or stated[0], int(roi.height) or stated[1])
        if (whole[0] // bins[0], whole[1] // bins[1]) != size:
            return None
        fx, fy = fx / bins[0], fy / bins[1]
        cx, cy = (cx - roi.x_offset + 0.5) / bins[0] - 0.5, (cy - roi.y_offset + 0.5) / bins[1] - 0.5
    coefficients = () if is_rectified else tuple(float(one) for one in _matrix(message, "d"))
    distortion = Distortion(message.distortion_model, coefficients) if any(coefficients) else None
    return Lens(Intrinsics(*size, float(fx), float(fy), float(cx), float(cy)), distortion)


@dataclass(frozen=True)
class JointCloud:
    """A point cloud of labels: its bytes, bytes per point, and (name, offset, datatype) of each field."""

    data: Uint8
    step_bytes: int
    fields: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class JointLabels:
    """Joints (21, 3) in mm, visibility (21,), handedness, and the standard deviation (21,) in mm of labels that are not exact."""

    xyz_camera_mm: Float32
    is_visible: Bool
    handedness: Handedness
    doubt_mm: Float32 | None = None


def pack_joints(labels: JointLabels) -> JointCloud:
    """The labels as a point cloud, one point per joint, in meters; a joint without a label is NaN."""
    layout = _JOINT if labels.doubt_mm is None else _DOUBTED_JOINT
    points = np.zeros(len(labels.xyz_camera_mm), layout)
    for axis, name in enumerate("xyz"):
        points[name] = labels.xyz_camera_mm[:, axis] / 1000
    points["visible"] = labels.is_visible
    points["handedness"] = labels.handedness
    if labels.doubt_mm is not None:
        points["doubt"] = labels.doubt_mm / 1000
    offsets = ((name, *layout.fields[name][:2]) for name in layout.names or () if layout.fields is not None)
    fields = tuple((name, offset, _POINT_FIELD[kind]) for name, kind, offset in offsets)
    return JointCloud(points.view(np.uint8), layout.itemsize, fields)


def unpack_joints(data: Sequence[int] | Uint8, topic: str) -> JointLabels:
    """The labels in a point cloud made by `pack_joints`.

    Raises RecordingError if it is a different cloud.
    """
    content = np.asarray(data, np.uint8).tobytes()
    layouts = {JOINT_COUNT * layout.itemsize: layout for layout in (_JOINT, _DOUBTED_JOINT)}
    layout = layouts.get(len(content))
    if layout is None:
        wanted = " or ".join(str(size) for size in layouts)
        raise RecordingError(
            f"topic {topic!r}: found {len(content)} bytes of labels, wanted {wanted} for {JOINT_COUNT} joints; record "
            "the labels with `handmap synthesize` or `handmap label`"
        )
    points = np.frombuffer(content, layout)
    xyz_camera_mm = (np.stack([points[name] for name in "xyz"], axis=-1) * np.float32(1000)).astype(np.float32)
    doubt_mm = (points["doubt"] * np.float32(1000)).astype(np.float32) if layout is _DOUBTED_JOINT else None
    return JointLabels(
        xyz_camera_mm, points["visible"].astype(bool), Handedness(int(points["handedness"][0])), doubt_mm
    )


def _matrix(message: Any, name: str) -> Any:
    return (
        getattr(message, name, None) if hasattr(message, name) else getattr(message, name.upper())
    )  # ROS 1: upper case
