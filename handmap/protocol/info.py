"""What a daemon says of itself in an INFO: a JSON object, short enough for a datagram."""

import msgspec

from handmap.files.reading import NotJson, decode_json
from handmap.protocol.fields import MAX_INFO_BYTES
from handmap.types.errors import PacketError
from handmap.types.joints import HAND21, PARENTS


class CameraIntrinsics(msgspec.Struct, frozen=True):
    """Of the depth image, pixels."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int


class DaemonInfo(msgspec.Struct, frozen=True):
    """Facts about a daemon; None where it does not know them yet. docs/protocol.md has the meaning of each."""

    version: str
    device_name: str
    bundle: str | None = None
    bundle_id: str | None = None
    precision: str | None = None
    camera: str | None = None
    serial: str | None = None
    intrinsics: CameraIntrinsics | None = None
    frame: str = "camera"
    frame_from_camera: tuple[tuple[float, float, float, float], ...] | None = None
    joints: tuple[str, ...] = HAND21
    parents: tuple[int, ...] = PARENTS


def encode_info(info: DaemonInfo) -> bytes:
    """The JSON text. Raises PacketError if it is too long for a datagram."""
    try:
        text = msgspec.json.encode(info)
    except UnicodeEncodeError as error:  # of a name that is no text, such as a folder's
        raise PacketError(f"info: a name in it is no text ({error})") from error
    if len(text) > MAX_INFO_BYTES:
        raise PacketError(f"info: {len(text)} bytes do not fit into a datagram, at most {MAX_INFO_BYTES} do")
    return text


def decode_info(text: bytes) -> DaemonInfo:
    """The facts in a JSON text; keys of a newer version are ignored. Raises PacketError if it is not that."""
    try:
        return decode_json(text, DaemonInfo)
    except NotJson as error:
        raise PacketError(f"info: is not what a daemon says of itself ({error})") from None
