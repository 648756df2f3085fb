"""Silhouettes to measure geodesics in: hands, blobs with islands and holes, a maze, and joints on and off them."""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from handmap.arrays import Bool
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
        hand[:] = ndimage.gaussian_filter(random.normal(size=(SIZE, SIZE)), random.uniform(0.8, 3)) > 0.01
    return Silhouettes(hands, random.integers(0, SIZE, (count, joints, 2)))
