"""Finds the topics of a bag with depth images, their camera's intrinsics and their unit; reader.py reads the frames."""

from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection

from handmap.recording.ros_messages import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    FOREIGN_FLOAT_UNIT_MM,
    IMAGE,
    UNIT_TOPIC,
    intrinsics_from_message,
    is_depth_message,
)
from handmap.types.errors import RecordingError
from handmap.types.intrinsics import Intrinsics

_SDK_UNIT_SUFFIXES: Final = ("option/Depth Units/value", "option/Depth_Units/value")  # librealsense, meters per unit


def choose_depth(reader: AnyReader, path: Path, topic: str | None) -> Connection:
    """The connection with depth: the requested one or the only one; raw images are preferred to their compressed copies.

    Raises RecordingError if there is none, or more than one.
    """
    images = [found for found in reader.connections if found.msgtype in (IMAGE, COMPRESSED_IMAGE) and found.msgcount]
    if topic is not None:
        images = [found for found in images if found.topic == topic]
    depths = []
    for found in images:
        message = _first_message(reader, found)
        if message is not None and is_depth_message(message, found.msgtype, found.topic):
            depths.append(found)
    raw = {found.topic for found in depths if found.msgtype == IMAGE}
    depths = [found for found in depths if found.msgtype == IMAGE or found.topic.rpartition("/")[0] not in raw]
    if len({found.topic for found in depths}) == 1:
        return depths[0]
    what = (
        "topics with depth " + ", ".join(sorted(found.topic for found in depths))
        if depths
        else "no topic with depth images"
    )
    asked = "one depth topic" if topic is None else f"depth on {topic!r}"
    fix = "name the topic to use" if depths or topic else "record the depth topic, or use another recording"
    raise RecordingError(f"recording {str(path)!r}: found {what}, wanted {asked}; {fix}")


def find_intrinsics(reader: AnyReader, path: Path, depth_topic: str) -> Intrinsics:
    """Intrinsics from the camera info topic most similar in name to the depth topic: the same camera, aligned or not.

    Raises RecordingError if the bag has no camera info.
    """
    infos = [found for found in reader.connections if found.msgtype == CAMERA_INFO and found.msgcount]
    if not infos:
        raise RecordingError(
            f"recording {str(path)!r}: no camera info beside {depth_topic!r}; record the camera_info topic as well"
        )

    def nearness(found: Connection) -> tuple[int, int]:
        parts = zip(found.topic.split("/"), depth_topic.split("/"), strict=False)
        shared = list(takewhile(lambda pair: pair[0] == pair[1], parts))
        return len(shared), -len(found.topic)

    return intrinsics_from_message(_first_message(reader, max(infos, key=nearness)))


def find_unit(reader: AnyReader, depth: Connection) -> float:
    """Millimeters per depth unit: as recorded by us or the SDK, else as the encoding defines it."""
    for found in reader.connections:
        if found.topic == UNIT_TOPIC and found.msgcount:
            return float(_first_message(reader, found).data)
        if found.topic.endswith(_SDK_UNIT_SUFFIXES) and found.msgcount:
            return round(float(_first_message(reader, found).data) * 1000, 6)  # a float32 of meters
    message = _first_message(reader, depth)
    return FOREIGN_FLOAT_UNIT_MM if getattr(message, "encoding", "") == "32FC1" else 1.0


def _first_message(reader: AnyReader, connection: Connection) -> Any:
    for _, _, data in reader.messages([connection]):
        return reader.deserialize(data, connection.msgtype)
    return None
