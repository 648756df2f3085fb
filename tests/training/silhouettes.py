"""Silhouettes to measure geodesics in: hands, blobs with islands and holes, a maze, and joints on and off them."""

from typing import NamedTuple

import numpy as np

from handmap.types.arrays import Bool, Float64
from training.compiled import IntArray

SIZE = 32


class Silhouettes(NamedTuple):
    """hands (N, 32, 32), and the cells (N, J, 2) of joints."""

    hands: Bool
    cells: IntArray


def silhouettes(count: int, joints: int, seed: int = 1) -> Silhouettes:
    """An empty one, a full one, one cell, a maze, then blobs; joints anywhere in the map."""
    random = np.random.default_rng(seed)
    hands = np.zeros((count, SIZE, SIZE), np.bool_)
    hands[1] = True
    hands[2, 5, 30] = True
    hands[3, ::2] = True
    hands[3, 1::4, -1] = hands[3, 3::4, 0] = True
    for hand in hands[4:]:
        hand[:] = _smooth(random.normal(size=(SIZE, SIZE)), int(random.integers(1, 8))) > 0.01
    return Silhouettes(hands, random.integers(0, SIZE, (count, joints, 2)))


def _smooth(values: Float64, times: int) -> Float64:
    """Each value (32, 32) the mean of itself and its neighbors, so many times."""
    for _ in range(times):
        values = (values + sum(np.roll(values, shift, axis) for axis in (0, 1) for shift in (-1, 1))) / 5
    return values
