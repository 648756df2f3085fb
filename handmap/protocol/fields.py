"""The layout of packet v1: tables, sizes and enumerations, used by packet.py; docs/protocol.md is the specification."""

import struct
from enum import IntEnum, IntFlag
from typing import Annotated, Final, NamedTuple, get_type_hints

from handmap.types.joints import JOINT_COUNT

MAGIC: Final = b"HMAP"
MAJOR: Final = 0
MINOR: Final = 1
DEFAULT_PORT: Final = 5656
MAX_PACKET_BYTES: Final = 1200  # below every sensible MTU, so no packet is ever fragmented
NO_BUNDLE: Final = bytes(8)


class HeaderLayout(NamedTuple):
    """The one table of the header: each field in order with its struct code, little-endian, no padding."""

    magic: Annotated[bytes, "4s"]
    major: Annotated[int, "B"]
    minor: Annotated[int, "B"]
    header_bytes: Annotated[int, "H"]
    message_type: Annotated[int, "B"]
    hand_count: Annotated[int, "B"]
    joint_order: Annotated[int, "B"]
    precision: Annotated[int, "B"]
    incompatible: Annotated[int, "B"]
    compatible: Annotated[int, "B"]
    state: Annotated[int, "B"]
    frame_of_reference: Annotated[int, "B"]
    clock: Annotated[int, "B"]
    timestamp_source: Annotated[int, "B"]
    hand_bytes: Annotated[int, "H"]
    stream_id: Annotated[int, "I"]
    sequence: Annotated[int, "I"]
    frame_number: Annotated[int, "I"]
    capture_ns: Annotated[int, "q"]
    publish_ns: Annotated[int, "q"]
    bundle_id: Annotated[bytes, "8s"]


class HandLayout(NamedTuple):
    """The one table of the fields before the joints of each hand; 21 x (x, y, z, expected error) float32 follow."""

    track_id: Annotated[int, "I"]
    handedness: Annotated[int, "B"]
    flags: Annotated[int, "B"]
    reserved: Annotated[int, "H"]
    handedness_confidence: Annotated[float, "f"]
    confidence: Annotated[float, "f"]


def codes(layout: type[HeaderLayout] | type[HandLayout]) -> dict[str, str]:
    """The struct code of each field of a layout, in order."""
    return {name: str(hint.__metadata__[0]) for name, hint in get_type_hints(layout, include_extras=True).items()}


HEADER: Final = struct.Struct("<" + "".join(codes(HeaderLayout).values()))
HAND: Final = struct.Struct("<" + "".join(codes(HandLayout).values()))
CRC: Final = struct.Struct("<I")
JOINTS_BYTES: Final = JOINT_COUNT * 4 * 4
HEADER_BYTES: Final = HEADER.size
HAND_BYTES: Final = HAND.size + JOINTS_BYTES
CRC_BYTES: Final = CRC.size
MAX_HANDS: Final = (MAX_PACKET_BYTES - HEADER_BYTES - CRC_BYTES) // HAND_BYTES
# Bits of `incompatible` that this version can read; an unknown one means that the packet would be misread.
KNOWN_INCOMPATIBLE: Final = 0


class MessageType(IntEnum):
    """The kind of a packet."""

    JOINTS = 1  # one camera frame, with or without hands
    HEARTBEAT = 2  # once per second, always; carries the state and no hands


class DaemonState(IntEnum):
    """What the daemon is doing, in every packet."""

    STARTING = 0
    NO_CAMERA = 1
    NO_HAND = 2
    TRACKING = 3
    DEGRADED = 4
    STOPPING = 5


class JointOrder(IntEnum):
    """The order of the joints of a hand."""

    HAND21 = 1


class Precision(IntEnum):
    """The numeric precision of the hand engine."""

    NONE = 0
    FP32 = 1
    FP16 = 2
    INT8 = 3


class ClockId(IntEnum):  # other values are reserved until a configuration can set them
    """The clock that capture and publish times are read from, on the sender."""

    MONOTONIC = 1


class FrameOfReference(IntEnum):  # other values are reserved until a configuration can set them
    """The coordinate frame of the joints."""

    CAMERA = 0  # the depth camera's optical frame: x right, y down, z away


class HandFlags(IntFlag):
    """Flags of one hand."""

    NONE = 0
    VALID = 1  # at least half of the joints are inside the image
    TRACKED = 2  # tracked from the previous frame, not newly detected
    EXTRAPOLATED = 4  # predicted for the publish time
