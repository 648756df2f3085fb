"""Finds specks: single pixels nearer than their surroundings, stray returns that a nearest-wins rule would take for a surface."""

from typing import Final

from handmap.types.arrays import Array, ArrayModule


def without_specks(xp: ArrayModule, depth: Array) -> Array:
    """Depth (H, W), smaller is nearer, with every pixel that is nearer than both neighbors set to the nearer neighbor.

    A gray-scale closing by three pixels along the rows, then along the columns (Serra, Image Analysis and Mathematical Morphology,
    1982, for the opening and closing of functions); a finger spans more pixels than that at any distance in range.
    The border is left unchanged.
    """
    rows = depth.copy()
    rows[:, 1:-1] = xp.maximum(depth[:, 1:-1], xp.minimum(depth[:, :-2], depth[:, 2:]))
    both = rows.copy()
    both[1:-1] = xp.maximum(rows[1:-1], xp.minimum(rows[:-2], rows[2:]))
    return both


SPECK_MM: Final = 20.0  # a speck stands out by more than the noise of a surface and the slope of a finger
BORDER: Final = 1  # raw depth where the image ends: nearer than any that is measured, so nothing stands out there


def prominence(xp: ArrayModule, depth: Array) -> Array:
    """By how many raw steps each pixel (H, W) of depth (H + 2, W + 2), uint16, is nearer than all four neighbors; 0 if it is not.

    A neighbor that is not measured (0) is farther than any. The margin of one pixel is only compared with: it holds the image
    around, or BORDER where there is none.
    """
    far = depth - xp.uint16(1)  # 0 becomes the farthest by unsigned wrap-around
    middle = far[1:-1, 1:-1]
    nearest = xp.minimum(far[1:-1, :-2], far[1:-1, 2:])
    nearest = xp.minimum(nearest, xp.minimum(far[:-2, 1:-1], far[2:, 1:-1]))
    return xp.maximum(nearest, middle) - middle
