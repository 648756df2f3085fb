"""Small bags as others record them: one moving square before a wall, and whatever is odd about its messages."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from handmap.types.arrays import Uint16

STORE: Final = get_typestore(Stores.ROS2_HUMBLE)
IMAGE, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"
COMPRESSED: Final = "sensor_msgs/msg/CompressedImage"
DEPTH_TOPIC, INFO_TOPIC = "/cam/depth/image_rect_raw", "/cam/depth/camera_info"
WIDTH, HEIGHT, FOCAL = 64, 48, 60.0
START_NS, PERIOD_NS = 1_700_000_000 * 10**9, 33_333_333


@dataclass(frozen=True)
class Entry:
    """A message to write, and when it is logged."""

    topic: str
    msgtype: str
    message: Any
    log_ns: int


def depth_of(number: int) -> Uint16:
    """(48, 64) mm: a square at 400 mm, elsewhere than in the frame before, on a wall at 900 mm."""
    depth = np.full((HEIGHT, WIDTH), 900, np.uint16)
    depth[10:25, number % 40 : number % 40 + 15] = 400
    return depth


def header(time_ns: int, frame_id: str = "depth_frame") -> Any:
    """A header of this time."""
    stamp = STORE.types["builtin_interfaces/msg/Time"](sec=time_ns // 10**9, nanosec=time_ns % 10**9)
    return STORE.types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)


def image(time_ns: int, pixels: Any, encoding: str = "16UC1", frame_id: str = "depth_frame") -> Any:
    """An image message of an array (H, W)."""
    data = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1)
    height, width = pixels.shape[:2]
    return STORE.types[IMAGE](header(time_ns, frame_id), height, width, encoding, 0, len(data) // height, data)


def compressed(time_ns: int, form: str, content: bytes) -> Any:
    """A compressed image message."""
    return STORE.types[COMPRESSED](header(time_ns), form, np.frombuffer(content, np.uint8))


def png16(depth: Uint16) -> bytes:
    """The bytes of a 16-bit PNG."""
    buffer = BytesIO()
    Image.fromarray(depth).save(buffer, "PNG")
    return buffer.getvalue()


def inverse_depth(depth: Uint16) -> bytes:
    """32FC1 as image_transport's compressedDepth stores it: 12 bytes of parameters, then quantized inverse depth."""
    a, b = 10_100.0, 1.0 - 1010.0
    inverse = np.clip(a / (depth / 1000.0) + b, 0, 65535)
    return struct.pack("<iff", 0, a, b) + png16(inverse.astype(np.uint16))


@dataclass(frozen=True)
class InfoFacts:
    """What a camera info states; binning and region of interest as in the message."""

    focal: float = FOCAL
    size: tuple[int, int] = (WIDTH, HEIGHT)
    center: tuple[float, float] = (31.5, 23.5)
    binning: int = 0
    roi: tuple[int, int, int, int] = (0, 0, 0, 0)
    d: tuple[float, ...] = (0.0,) * 5
    model: str = "plumb_bob"
    frame_id: str = "depth_frame"


def info(time_ns: int, facts: InfoFacts = InfoFacts()) -> Any:
    """A camera info message."""
    region = STORE.types["sensor_msgs/msg/RegionOfInterest"](*facts.roi, do_rectify=False)
    cx, cy = facts.center if facts.focal else (0.0, 0.0)
    k = np.array([facts.focal, 0, cx, 0, facts.focal, cy, 0, 0, 1.0 if facts.focal else 0.0])
    return STORE.types[INFO](
        header(time_ns, facts.frame_id), facts.size[1], facts.size[0], facts.model, np.array(facts.d), k,
        np.eye(3).reshape(-1), np.zeros(12), facts.binning, facts.binning, region,
    )  # fmt: skip


def frames(
    count: int = 40,
    times_ns: Sequence[int] | None = None,
    make: Callable[[int, Uint16], Any] = image,
    facts: InfoFacts | Callable[[int], InfoFacts] = InfoFacts(),
    msgtype: str = IMAGE,
) -> list[Entry]:
    """Depth and camera info of `count` frames."""
    entries = []
    for number in range(count):
        time_ns = times_ns[number] if times_ns is not None else START_NS + number * PERIOD_NS
        stated = facts(number) if callable(facts) else facts
        entries.append(Entry(INFO_TOPIC, INFO, info(time_ns, stated), time_ns))
        topic = DEPTH_TOPIC if msgtype == IMAGE else f"{DEPTH_TOPIC}/compressedDepth"
        entries.append(Entry(topic, msgtype, make(time_ns, depth_of(number)), time_ns))
    return entries


def write_bag(
    path: Path, entries: list[Entry], storage: StoragePlugin = StoragePlugin.MCAP, foreign: Any = None
) -> Path:
    """The bag; `foreign` is (type, definition, encoding) of a topic that stands before all others."""
    with Writer(path, version=8, storage_plugin=storage) as writer:
        if foreign is not None:
            msgtype, definition, encoding = foreign
            other = writer.add_connection(
                "/other", msgtype, msgdef=definition, rihs01="RIHS01_" + "0" * 64, serialization_format=encoding
            )
            writer.write(other, START_NS, b"\0\1\0\0\xff\xff")
        connections: dict[str, Any] = {}
        for one in entries:
            if one.topic not in connections:
                connections[one.topic] = writer.add_connection(one.topic, one.msgtype, typestore=STORE)
            writer.write(connections[one.topic], one.log_ns, STORE.serialize_cdr(one.message, one.msgtype))
    return path
