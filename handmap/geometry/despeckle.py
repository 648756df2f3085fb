"""Single pixels that are nearer than what surrounds them: stray returns, which a minimum over a block of pixels would take for a surface."""

from handmap.types.arrays import Array, ArrayModule


def without_specks(xp: ArrayModule, depth: Array) -> Array:
    """Depth (H, W), nearer is smaller, with what is one pixel wide and nearer than both sides of it put back to the nearer of them.

    A gray-scale closing by three pixels along the rows, then along the columns (Serra, Image Analysis and Mathematical Morphology,
    1982, for the opening and closing of functions): a finger spans more pixels than that at any distance a hand is looked for in.
    The border is left as it is.
    """
    rows = depth.copy()
    rows[:, 1:-1] = xp.maximum(depth[:, 1:-1], xp.minimum(depth[:, :-2], depth[:, 2:]))
    both = rows.copy()
    both[1:-1] = xp.maximum(rows[1:-1], xp.minimum(rows[:-2], rows[2:]))
    return both
