"""The layouts of protocol 1.0: tables, sizes and enumerations, used by the codecs; docs/protocol.md is the specification."""

import struct
from enum import IntEnum, IntFlag
from typing import Annotated, Final, NamedTuple, TypeAlias, get_type_hints

from handmap.types.joints import JOINT_COUNT

MAGIC: Final = b"HMAP"
MAJOR: Final = 1
MINOR: Final = 0
DEFAULT_PORT: Final = 5656
DEFAULT_CONTROL_PORT: Final = 5655
SERVICE_TYPE: Final = "_handmap._udp.local."  # of DNS-SD (RFC 6763), for the control port
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
    part: Annotated[int, "B"]
    part_count: Annotated[int, "B"]
    control_port: Annotated[int, "H"]


class ControlLayout(NamedTuple):
    """The one table of control messages; its first 14 bytes are laid out as the header's."""

    magic: Annotated[bytes, "4s"]
    major: Annotated[int, "B"]
    minor: Annotated[int, "B"]
    header_bytes: Annotated[int, "H"]
    message_type: Annotated[int, "B"]
    status: Annotated[int, "B"]
    lease_s: Annotated[int, "H"]
    incompatible: Annotated[int, "B"]
    compatible: Annotated[int, "B"]
    reserved: Annotated[int, "H"]
    stream_id: Annotated[int, "I"]
    reserved_2: Annotated[int, "I"]
    nonce: Annotated[int, "Q"]
    token: Annotated[bytes, "16s"]
    client_ns: Annotated[int, "q"]
    received_ns: Annotated[int, "q"]
    sent_ns: Annotated[int, "q"]


class HandLayout(NamedTuple):
    """The one table of the fields before the joints of each hand; 21 x (x, y, z, expected error) float32 follow."""

    track_id: Annotated[int, "I"]
    handedness: Annotated[int, "B"]
    flags: Annotated[int, "B"]
    reserved: Annotated[int, "H"]
    handedness_confidence: Annotated[float, "f"]
    confidence: Annotated[float, "f"]


class BlockLayout(NamedTuple):
    """The one table of the fields that begin a block; so many bytes of content follow."""

    block_type: Annotated[int, "B"]
    hand_index: Annotated[int, "B"]
    content_bytes: Annotated[int, "H"]


class SkeletonLayout(NamedTuple):
    """The one table of a skeleton block's content; quaternions as x, y, z, w in units of 1/32767, angles in units of 0.0001 rad."""

    quaternions: Annotated[bytes, "128s"]  # (16, 4) i16
    angles: Annotated[bytes, "44s"]  # (22,) i16
    pinch_strength: Annotated[bytes, "4s"]  # (4,) u8, in units of 1/255
    pinching: Annotated[int, "B"]
    grasp_closure: Annotated[int, "B"]  # in units of 1/255
    size_flags: Annotated[int, "B"]
    reserved: Annotated[int, "B"]
    hand_length_m: Annotated[float, "f"]
    hand_length_error_m: Annotated[float, "f"]


class TrailerLayout(NamedTuple):
    """The one table of the trailer of an authenticated datagram, before its checksum."""

    key_id: Annotated[bytes, "4s"]
    tag: Annotated[bytes, "16s"]


Layout: TypeAlias = (
    type[HeaderLayout] | type[ControlLayout] | type[HandLayout] | type[BlockLayout] | type[SkeletonLayout]
    | type[TrailerLayout]
)  # fmt: skip


def codes(layout: Layout) -> dict[str, str]:
    """The struct code of each field of a layout, in order."""
    return {name: str(hint.__metadata__[0]) for name, hint in get_type_hints(layout, include_extras=True).items()}


def _struct(layout: Layout) -> struct.Struct:
    return struct.Struct("<" + "".join(codes(layout).values()))


HEADER: Final = _struct(HeaderLayout)
CONTROL: Final = _struct(ControlLayout)
HAND: Final = _struct(HandLayout)
BLOCK: Final = _struct(BlockLayout)
SKELETON: Final = _struct(SkeletonLayout)
TRAILER: Final = _struct(TrailerLayout)
CRC: Final = struct.Struct("<I")
JOINTS_BYTES: Final = JOINT_COUNT * 4 * 4
HEADER_BYTES: Final = HEADER.size
CONTROL_BYTES: Final = CONTROL.size
HAND_BYTES: Final = HAND.size + JOINTS_BYTES
SKELETON_BYTES: Final = BLOCK.size + SKELETON.size
TRAILER_BYTES: Final = TRAILER.size
CRC_BYTES: Final = CRC.size
# What a datagram can hold between its header and its trailer.
MAX_BODY_BYTES: Final = MAX_PACKET_BYTES - HEADER_BYTES - TRAILER_BYTES - CRC_BYTES
MAX_HANDS: Final = MAX_BODY_BYTES // HAND_BYTES
MAX_PARTS: Final = 8
MAX_INFO_BYTES: Final = MAX_PACKET_BYTES - CONTROL_BYTES - TRAILER_BYTES - CRC_BYTES
# Bits of `incompatible`. An unknown one means that the datagram would be misread.
AUTHENTICATED: Final = 1  # a trailer with key and tag is before the checksum
KNOWN_INCOMPATIBLE: Final = AUTHENTICATED
SIZE_IS_HELD: Final = 1  # bit of `size_flags`: the hand's size has been learned


class BlockType(IntEnum):
    """The kind of a block after the hand records; unknown ones are skipped."""

    SKELETON = 1


class MessageType(IntEnum):
    """The kind of a packet."""

    JOINTS = 1  # one camera frame, with or without hands
    HEARTBEAT = 2  # once per second, always; carries the state and no hands


class ControlType(IntEnum):
    """The kind of a control message: to the daemon's control port, or back from it."""

    PING = 16
    PONG = 17
    SUBSCRIBE = 18
    SUBSCRIBED = 19
    UNSUBSCRIBE = 20
    INFO_REQUEST = 21
    INFO = 22
    SNAPSHOT = 23
    SNAPSHOT_TAKEN = 24


class ControlStatus(IntEnum):
    """The outcome of a request."""

    OK = 0
    BAD_TOKEN = 1  # of another address, or older than two minutes: ping again
    FULL = 2  # as many subscribers as the daemon takes
    NOT_ALLOWED = 3  # not to this address without a key, or not in this configuration


class DaemonState(IntEnum):
    """What the daemon is doing, in every packet. A newer one reads as UNKNOWN, in which no hand is to be followed."""

    STARTING = 0
    NO_CAMERA = 1
    NO_HAND = 2
    TRACKING = 3
    DEGRADED = 4
    STOPPING = 5
    UNKNOWN = 255  # never sent


class JointOrder(IntEnum):
    """The order of the joints of a hand."""

    HAND21 = 1


class Precision(IntEnum):
    """The numeric precision of the hand engine."""

    NONE = 0
    FP32 = 1
    FP16 = 2
    INT8 = 3
    UNKNOWN = 255  # never sent: a newer one


class ClockId(IntEnum):  # other values are reserved
    """The clock that capture and publish times are read from, on the sender."""

    MONOTONIC = 1


class FrameOfReference(IntEnum):  # other values are reserved
    """The coordinate frame of the joints."""

    CAMERA = 0  # the depth camera's optical frame: x right, y down, z away
    CONFIGURED = 1  # that of publish.frame; INFO has its name and the transform


class HandFlags(IntFlag):
    """Flags of one hand."""

    NONE = 0
    VALID = 1  # at least half of the joints are inside the image
    TRACKED = 2  # tracked from the previous frame, not newly detected
    EXTRAPOLATED = 4  # predicted for the publish time
