"""Lossless compression of depth images for keeping many in memory: a few ms for each, and a third or less of their bytes.

Neighbors in a row differ little, so their differences are what is compressed: folded to small positive numbers, then low and high
bytes apart. docs/measured/flight.md compares this with other ways.
"""

import sys
from typing import Final

import numpy as np

from handmap.types.arrays import Uint16

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd  # what rosbags stands on

LEVEL: Final = 1


def pack_depth(depth: Uint16) -> bytes:
    """The image (height, width) as bytes that `unpack_depth` restores exactly."""
    steps = np.array(depth, np.uint16)  # every step on whole arrays, during which numpy and zstd let other threads run
    steps[:, 1:] -= depth[:, :-1]
    signed = steps.view(np.int16)
    folded = ((signed << 1) ^ (signed >> 15)).view(np.uint8).reshape(-1, 2)  # 0, -1, 1, -2 to 0, 1, 2, 3
    planes = np.empty((2, len(folded)), np.uint8)
    planes[0], planes[1] = folded[:, 0], folded[:, 1]
    return zstd.compress(planes.data, level=LEVEL)


def unpack_depth(packed: bytes, shape: tuple[int, int]) -> Uint16:
    """The image of this (height, width) that `pack_depth` packed."""
    planes = np.frombuffer(zstd.decompress(packed), np.uint8).reshape(2, -1)
    folded = (planes[0] | planes[1].astype(np.uint16) << 8).reshape(shape)
    steps = (folded >> 1) ^ (np.uint16(0) - (folded & np.uint16(1)))
    depth: Uint16 = np.cumsum(steps, axis=1, dtype=np.uint16)
    return depth
