"""Depth images of ROS: which image messages are depth, why others are none, and their pixels."""

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from handmap.files.images import decode_depth_png
from handmap.recording.ros_messages import COMPRESSED_IMAGE
from handmap.types.arrays import Uint16
from handmap.types.errors import RecordingError

# A quarter of a millimeter spans 16.4 m in 16 bits and is finer than any sensor.
FLOAT_UNIT_MM: Final = 0.25
METER_MM: Final = 1000.0
_RAW: Final = {"16UC1": "u2", "mono16": "u2", "32FC1": "f4", "64FC1": "f8"}
# image_transport's compressedDepth puts an enum and two float32 quantization parameters before the picture.
_HEADER: Final = struct.Struct("<iff")
_PNG: Final = b"\x89PNG"


@dataclass(frozen=True)
class DepthScale:
    """Millimeters per raw step of an image, and per step of the frames made of it; they differ for floating-point images."""

    raw_mm: float
    unit_mm: float


def is_float(message: Any) -> bool:
    """Whether an image message holds floating-point depth."""
    return encoding_of(message).startswith(("32F", "64F"))


def encoding_of(message: Any) -> str:
    """The encoding of the pixels; for a compressed image that of the original, or else its format."""
    return str(message.encoding if hasattr(message, "encoding") else message.format.split(";")[0].strip())


def why_no_depth(message: Any, msgtype: str, topic: str, is_named: bool) -> str | None:
    """Why an image message is no depth that can be read, or None if it is; infrared images share the encoding mono16.

    is_named: the user named the topic, so that mono16 is depth.
    """
    encoding = encoding_of(message)
    if msgtype == COMPRESSED_IMAGE:
        return _why_no_compressed(message, encoding)
    if encoding not in _RAW:
        return f"{encoding} is no depth"
    if encoding == "mono16" and not is_named and "depth" not in topic.lower():
        return "mono16 may be infrared; if it is depth, name it with --topic"
    return None


def read_depth(message: Any, msgtype: str, scale: DepthScale, topic: str) -> Uint16:
    """The (height, width) uint16 depth in steps of scale.unit_mm of an image message.

    Raises RecordingError for an unsupported encoding or layout.
    """
    values = _values(message, msgtype, topic)
    if values.dtype.kind == "f":
        return _to_units(values, scale.raw_mm / scale.unit_mm)
    return values.astype(np.uint16)


def beyond_range(message: Any, msgtype: str, scale: DepthScale, topic: str) -> float | None:
    """The median of an image's values if they are numbers and none fits into 16 bits at this scale; else None."""
    values = _values(message, msgtype, topic)
    if values.dtype.kind != "f" or _to_units(values, scale.raw_mm / scale.unit_mm).any():
        return None
    measured = values[np.isfinite(values) & (values > 0)]
    return float(np.median(measured)) if measured.size else None


def _values(message: Any, msgtype: str, topic: str) -> NDArray[Any]:
    return _decompress(message, topic) if msgtype == COMPRESSED_IMAGE else _pixels(message, topic)


def _pixels(message: Any, topic: str) -> NDArray[Any]:
    shape = (message.height, message.width)
    item = _RAW.get(message.encoding)
    if item is None:
        raise RecordingError(
            f"topic {topic!r}: found an image with encoding {message.encoding!r}, wanted {', '.join(_RAW)}; use a depth topic"
        )
    row_bytes = message.width * np.dtype(item).itemsize
    if message.step < row_bytes or len(message.data) != message.step * message.height:
        raise RecordingError(
            f"topic {topic!r}: an image of {shape} has {len(message.data)} bytes in steps of {message.step}; it was "
            "recorded wrongly"
        )
    rows = np.asarray(message.data).reshape(message.height, message.step)[:, :row_bytes]
    return np.ascontiguousarray(rows).view(np.dtype((">" if message.is_bigendian else "<") + item))


def _why_no_compressed(message: Any, encoding: str) -> str | None:
    content = np.asarray(message.data, np.uint8).tobytes()
    if encoding in ("16UC1", "mono16") and content[:4] == _PNG:
        return None
    if "compressedDepth" not in message.format:
        is_jpeg = content[:2] == b"\xff\xd8"
        return f"{'8-bit JPEG' if is_jpeg else repr(message.format)} is no depth; record the raw topic"
    if encoding not in ("16UC1", "mono16", "32FC1"):
        return f"compressed depth of {encoding!r} is not known; record the raw topic"
    if content[_HEADER.size : _HEADER.size + 4] != _PNG:
        return (
            f"{message.format!r} is not compressed as PNG; set png as the transport's format, or record the raw topic"
        )
    return None


def _decompress(message: Any, topic: str) -> NDArray[Any]:
    """16UC1 as it is, 32FC1 in meters from the inverse depth that image_transport quantizes."""
    encoding = encoding_of(message)
    why = _why_no_compressed(message, encoding)
    if why is not None:
        raise RecordingError(f"topic {topic!r}: {why}")
    content = np.asarray(message.data, np.uint8).tobytes()
    values = decode_depth_png(content if content[:4] == _PNG else content[_HEADER.size :], topic)
    if encoding != "32FC1":
        return values
    _, a, b = _HEADER.unpack_from(content)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values > 0, a / (values.astype(np.float64) - b), np.nan)


def _to_units(values: NDArray[Any], per_value: float) -> Uint16:
    """Floating-point depth as whole units; NaN, infinity and values beyond 16 bits become 0, which means not measured."""
    with np.errstate(over="ignore", invalid="ignore"):
        units = np.rint(np.nan_to_num(values.astype(np.float64), nan=0, posinf=0, neginf=0) * per_value)
    return np.where((units > 0) & (units <= 65535), units, 0).astype(np.uint16)
