"""The preview: depth pictures and what the tracker made of them, for a person who looks. A TCP stream; docs/protocol.md specifies it.

Every message is a MessagePack map after its length in bytes, u32 little-endian. The daemon says Hello, the viewer Ask; then come
Pictures, or one Refusal.
"""

import zlib
from typing import Annotated, Final, TypeAlias

import msgspec
import numpy as np

from handmap.protocol.authentication import KeyRing, tag_of
from handmap.protocol.fields import DaemonState
from handmap.types.arrays import Float32, Uint16
from handmap.types.errors import PacketError
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import Handedness

VERSION: Final = 1
DEFAULT_PREVIEW_PORT: Final = 5658
LENGTH_BYTES: Final = 4
MAX_MESSAGE_BYTES: Final = 4 << 20
MAX_ASK_BYTES: Final = 4096
MAX_PIXELS: Final = 1 << 20
CHALLENGE_BYTES: Final = 32

Point: TypeAlias = tuple[float, float, float]
Bytes32 = Annotated[bytes, msgspec.Meta(min_length=CHALLENGE_BYTES, max_length=CHALLENGE_BYTES)]


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """Begins the stream; a viewer proves its key by the tag of the challenge, where is_keyed."""

    version: int
    challenge: Bytes32
    is_keyed: bool


class Ask(msgspec.Struct, frozen=True, tag="ask"):
    """What a viewer wants: at most so many pictures a second. key_id and tag are empty without a key."""

    version: int
    max_hz: Annotated[float, msgspec.Meta(gt=0, le=1000)]
    key_id: bytes = b""
    tag: bytes = b""


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """Ends the stream, with the reason in one sentence."""

    reason: str


class Cube(msgspec.Struct, frozen=True):
    """A hand cube: center in the camera frame and side, mm."""

    center_mm: Point
    side_mm: float


class PreviewHand(msgspec.Struct, frozen=True):
    """A published hand: joints (21) in the camera frame and their expected errors, mm."""

    track_id: int
    handedness: Handedness
    cube: Cube
    joints_mm: tuple[Point, ...]
    expected_error_mm: tuple[float, ...]
    confidence: float
    is_valid: bool


class Picture(msgspec.Struct, frozen=True, tag="picture"):
    """A frame: every n-th pixel of its depth image, and what was found in it.

    depth is uint16, little-endian, row by row, deflated (zlib); times depth_unit_mm it is mm along z, 0 is not measured. The
    intrinsics are those of the reduced image. stages_ms is how long each stage took for this frame; places are in the camera
    frame, of which camera_to_frame gives the published one, as three rows of rotation and translation in m.
    """

    frame_number: int
    capture_ns: int
    state: DaemonState
    reason: str
    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    depth_unit_mm: float
    depth: bytes
    hands: tuple[PreviewHand, ...]
    proposals: tuple[Cube, ...]
    stages_ms: dict[str, float]
    camera_to_frame: tuple[tuple[float, float, float, float], ...] | None = None

    @property
    def intrinsics(self) -> Intrinsics:
        """Of the reduced image."""
        return Intrinsics(self.width_px, self.height_px, self.fx_px, self.fy_px, self.cx_px, self.cy_px)


Message: TypeAlias = Hello | Ask | Refusal | Picture
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final[msgspec.msgpack.Decoder[Message]] = msgspec.msgpack.Decoder(Message)


def encode_preview(message: Message) -> bytes:
    """The message with its length before it."""
    content = _ENCODER.encode(message)
    return len(content).to_bytes(LENGTH_BYTES, "little") + content


def message_bytes(head: bytes, limit: int = MAX_MESSAGE_BYTES) -> int:
    """How many bytes follow the length. Raises PacketError if that is more than `limit`."""
    size = int.from_bytes(head, "little")
    if not 0 < size <= limit:
        raise PacketError(f"preview: found a message of {size} bytes, wanted 1 to {limit}; is that port a preview's?")
    return size


def decode_preview(content: bytes) -> Message:
    """The message in these bytes, without the length. Raises PacketError if there is none."""
    try:
        return _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PacketError(f"preview: found no message ({error}); is that port a preview's?") from None


def deflate(depth: Uint16) -> bytes:
    """The depth (H, W) of a Picture, fast rather than small."""
    return zlib.compress(np.ascontiguousarray(depth, "<u2").tobytes(), level=1)


def inflate(picture: Picture) -> Uint16:
    """The depth (height_px, width_px) of a picture. Raises PacketError if it is not of that size."""
    pixels = picture.width_px * picture.height_px
    if not (picture.width_px > 0 and 0 < pixels <= MAX_PIXELS):
        raise PacketError(f"preview: found a picture of {picture.width_px}x{picture.height_px} pixels")
    try:
        content = zlib.decompressobj().decompress(picture.depth, 2 * pixels + 1)
    except zlib.error as error:
        raise PacketError(f"preview: found a damaged picture ({error})") from None
    if len(content) != 2 * pixels:
        raise PacketError(f"preview: found a picture of {len(content)} bytes, wanted {2 * pixels}")
    return np.frombuffer(content, "<u2").reshape(picture.height_px, picture.width_px).astype(np.uint16)


def depth_mm_of(picture: Picture) -> Float32:
    """The depth (height_px, width_px) of a picture, mm, 0 where nothing was measured. Raises PacketError as `inflate` does."""
    return inflate(picture).astype(np.float32) * np.float32(picture.depth_unit_mm)


def proof(keys: KeyRing, challenge: bytes) -> tuple[bytes, bytes]:
    """Key id and tag that answer a challenge."""
    return keys.first.key_id, tag_of(keys.first, _sealed(challenge))


def check_proof(keys: KeyRing, ask: Ask, challenge: bytes) -> None:
    """Raises PacketError unless the viewer has one of the keys."""
    keys.check(ask.key_id, ask.tag, _sealed(challenge))


def _sealed(challenge: bytes) -> bytes:
    """What the tag is of: no tag of a datagram is of the same bytes, since those begin with HMAP."""
    return b"preview" + challenge
