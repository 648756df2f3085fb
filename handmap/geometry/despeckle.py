"""Removes specks: single pixels nearer than their surroundings, stray returns that min-pooling would take for a surface."""

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
