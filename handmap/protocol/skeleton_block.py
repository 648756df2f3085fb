"""The skeleton block: what the fit knows of a hand beyond its joints, in 192 bytes."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from handmap.protocol.fields import BLOCK, MAJOR, MINOR, SIZE_IS_HELD, SKELETON, BlockLayout, BlockType, SkeletonLayout
from handmap.types.arrays import Bool, Float32
from handmap.types.errors import PacketError
from handmap.types.joints import HAND21

# The joints that have an orientation of their own: those that a bone begins at. A tip has that of the joint before it.
ORIENTED: Final = tuple(joint for joint, name in enumerate(HAND21) if not name.endswith("_tip"))
ANGLES: Final = 22
PINCHES: Final = 4  # index to little, with the thumb
MAX_SQUARED_ERROR: Final = 0.01
_QUATERNION_UNIT, _ANGLE_UNIT, _SHARE_UNIT = np.float32(32767), np.float32(10_000), np.float32(255)
_BITS: Final = (1, 2, 4, 8)
_TURN_BYTES: Final = 4 * len(ORIENTED) * 2
_UNITS = np.repeat(np.array([_QUATERNION_UNIT, _ANGLE_UNIT]), [4 * len(ORIENTED), ANGLES])


@dataclass(frozen=True, eq=False)
class HandSkeleton:
    """What the fit knows of one hand.

    quaternions (16, 4) float32 are x, y, z, w with w >= 0 and take the axes of the joints ORIENTED to the frame of the packet;
    docs/skeleton.md says which axes. angles (22,) float32 are in rad. pinch_strength (4,) is from 0 to 1, index to little, and
    is_pinching (4,) says which of them touch the thumb. grasp_closure is 1 for a fist. The hand's length is that from wrist to middle
    fingertip along the bones; its error is a standard deviation.
    """

    quaternions: Float32
    angles: Float32
    pinch_strength: Float32
    is_pinching: Bool
    grasp_closure: float
    hand_length_m: float
    hand_length_error_m: float
    is_size_held: bool

    @property
    def joint_quaternions(self) -> Float32:
        """Orientations (21, 4) of all joints of hand21."""
        oriented: Float32 = self.quaternions[OF_HAND21]
        return oriented


OF_HAND21: Final = np.array([ORIENTED.index(joint if joint in ORIENTED else joint - 1) for joint in range(len(HAND21))])


def encode_skeleton(hand_index: int, skeleton: HandSkeleton) -> bytes:
    """The block of the hand with this index in its datagram. Raises PacketError for numbers that it cannot hold."""
    numbers = np.concatenate((skeleton.quaternions, skeleton.angles), axis=None) * _UNITS
    shares = [
        round(255 * share) for share in (*skeleton.pinch_strength.tolist(), skeleton.grasp_closure) if share == share
    ]
    lengths = (skeleton.hand_length_m, skeleton.hand_length_error_m)
    is_sendable = (
        float(np.abs(numbers).max()) < 32767.5  # false for NaN
        and len(shares) == PINCHES + 1
        and 0 <= min(shares) <= max(shares) <= 255
        and all(math.isfinite(length) for length in lengths)
    )
    if not is_sendable:
        raise PacketError("packet: a skeleton with numbers out of range cannot be sent; leave it out")
    content = np.rint(numbers).astype("<i2").tobytes()
    pinching = sum(bit for bit, is_on in zip(_BITS, skeleton.is_pinching.tolist(), strict=True) if is_on)
    return BLOCK.pack(BlockType.SKELETON, hand_index, SKELETON.size) + SKELETON.pack(
        content[:_TURN_BYTES], content[_TURN_BYTES:], bytes(shares[:PINCHES]),
        pinching, shares[PINCHES], SIZE_IS_HELD * skeleton.is_size_held, 0, *lengths,
    )  # fmt: skip


def decode_skeleton(data: bytes, start: int) -> HandSkeleton:
    """The skeleton whose content begins at byte `start`. Raises PacketError for orientations that are not and numbers that are not finite."""
    content = SkeletonLayout._make(SKELETON.unpack_from(data, start))
    turns = _scaled(content.quaternions, "<i2", _QUATERNION_UNIT).reshape(-1, 4)
    squared = np.einsum("ij,ij->i", turns, turns)
    if not (abs(squared.min() - 1) < MAX_SQUARED_ERROR and abs(squared.max() - 1) < MAX_SQUARED_ERROR):
        raise PacketError("packet: a skeleton has orientations that are no unit quaternions")
    if not (math.isfinite(content.hand_length_m) and math.isfinite(content.hand_length_error_m)):
        raise PacketError("packet: a skeleton has numbers that are not finite")
    return HandSkeleton(
        quaternions=turns,
        angles=_scaled(content.angles, "<i2", _ANGLE_UNIT),
        pinch_strength=_scaled(content.pinch_strength, "u1", _SHARE_UNIT),
        is_pinching=np.array([bool(content.pinching & bit) for bit in _BITS]),
        grasp_closure=content.grasp_closure / 255,
        hand_length_m=content.hand_length_m,
        hand_length_error_m=content.hand_length_error_m,
        is_size_held=bool(content.size_flags & SIZE_IS_HELD),
    )


def decode_blocks(body: bytes, at: int, hand_count: int) -> dict[int, HandSkeleton]:
    """The skeletons in the blocks from byte `at` on, by the index of their hand; blocks of other types are skipped.

    Raises PacketError if that is not a row of whole blocks, with at most one skeleton for each hand.
    """
    skeletons: dict[int, HandSkeleton] = {}
    while at < len(body):
        if at + BLOCK.size > len(body):
            raise PacketError(f"packet: {len(body) - at} bytes behind the last block are no block")
        block = BlockLayout._make(BLOCK.unpack_from(body, at))
        at += BLOCK.size
        if at + block.content_bytes > len(body):
            raise PacketError(f"packet: a block states {block.content_bytes} bytes, {len(body) - at} are left")
        if block.block_type == BlockType.SKELETON:
            if block.content_bytes < SKELETON.size:
                raise PacketError(
                    f"packet: a skeleton of {block.content_bytes} bytes, version {MAJOR}.{MINOR} has at least {SKELETON.size}"
                )
            if block.hand_index >= hand_count or block.hand_index in skeletons:
                raise PacketError(
                    f"packet: a skeleton of hand {block.hand_index}, which is not there or has one already"
                )
            skeletons[block.hand_index] = decode_skeleton(body, at)
        at += block.content_bytes
    return skeletons


def _scaled(content: bytes, kind: str, unit: np.float32) -> Float32:
    return np.frombuffer(content, kind).astype(np.float32) / unit
