"""Geodesic distance inside a hand's silhouette by first-order fast marching (Sethian 1996), for the edt2 guidance maps.

Everything is in pixels of the map, with unit speed and four neighbors; depth is not used. `guidance` describes the maps.
"""

import numpy as np

from handmap.types.arrays import Bool, Float32, Float64

from ..compiled import IntArray, compiled


def march_distance(domain: Bool, row: int, column: int) -> Float64:
    """Geodesic distance (H, W) in pixels from one pixel to every other pixel of domain (H, W); inf if unreachable.

    The start belongs to the domain whether or not it is marked. First-order upwind, as scikit-fmm with order=1.
    """
    height, width = domain.shape
    padded = np.zeros((height + 2, width + 2), np.bool_)
    padded[1:-1, 1:-1] = domain
    distances = np.empty(padded.size)
    keys, cells = np.empty(4 * padded.size), np.empty(4 * padded.size, np.int64)
    _march(padded.ravel(), (row + 1) * (width + 2) + column + 1, width + 2, distances, keys, cells)
    return distances.reshape(padded.shape)[1:-1, 1:-1]


@compiled
def geodesic_closeness(hands: Bool, joint_cells: IntArray) -> Float32:
    """For each joint 1 at its own pixel, falling linearly with geodesic distance to 0 at the farthest hand pixel reached.

    hands (N, S, S) are silhouettes, joint_cells (N, J, 2) the (row, column) of joints inside the map; the result is
    (N, J, S, S), 0 outside the silhouette and on islands that cannot be reached. A joint off the silhouette starts in a
    disc around it that just touches the hand, so its map stays below 1.
    """
    count, size, _ = hands.shape
    joints = joint_cells.shape[1]
    stride = size + 2
    closeness = np.zeros((count, joints, size, size), np.float32)
    silhouette = np.zeros(stride * stride, np.bool_)
    domain = np.zeros(stride * stride, np.bool_)
    distances = np.empty(stride * stride)
    keys = np.empty(4 * stride * stride)
    cells = np.empty(4 * stride * stride, np.int64)
    for sample in range(count):
        is_empty = True
        for row in range(size):
            for column in range(size):
                is_hand = hands[sample, row, column]
                silhouette[(row + 1) * stride + column + 1] = is_hand
                is_empty = is_empty and not is_hand
        if is_empty:
            continue
        for joint in range(joints):
            row, column = joint_cells[sample, joint]
            domain[:] = silhouette
            start = (row + 1) * stride + column + 1
            if not silhouette[start]:
                _add_touching_disc(silhouette, domain, row, column, size)
            farthest = _march(domain, start, stride, distances, keys, cells)
            _normalize(silhouette, distances, farthest, closeness[sample, joint])
    return closeness


@compiled
def _add_touching_disc(silhouette: Bool, domain: Bool, row: int, column: int, size: int) -> None:
    """Marks in `domain` (padded, flat) the disc around (row, column) whose radius is the distance to the nearest hand pixel."""
    stride = size + 2
    nearest = 4 * size * size
    for r in range(size):
        for c in range(size):
            if silhouette[(r + 1) * stride + c + 1]:
                nearest = min(nearest, (r - row) ** 2 + (c - column) ** 2)
    for r in range(size):
        for c in range(size):
            if (r - row) ** 2 + (c - column) ** 2 <= nearest:
                domain[(r + 1) * stride + c + 1] = True


@compiled
def _normalize(silhouette: Bool, distances: Float64, farthest: float, closeness: Float32) -> None:
    """Writes (farthest - distance) / farthest where there is hand; the only pixel of a domain is its own joint: 1."""
    size = closeness.shape[0]
    for row in range(size):
        for column in range(size):
            cell = (row + 1) * (size + 2) + column + 1
            if silhouette[cell] and distances[cell] <= farthest:
                closeness[row, column] = (farthest - distances[cell]) / farthest if farthest > 0 else 1.0


@compiled
def _march(domain: Bool, start: int, stride: int, distances: Float64, keys: Float64, cells: IntArray) -> float:
    """Fills `distances` of a flat domain whose border is False; gives the largest finite one. keys, cells are the heap's room."""
    distances[:] = np.inf
    distances[start] = 0.0
    keys[0], cells[0], size = 0.0, start, 1
    # A cell is frozen when popped at its own distance; later entries of it are larger and are skipped.
    frozen = np.zeros(domain.size, np.bool_)
    farthest = 0.0
    while size > 0:
        here = cells[0]
        key = keys[0]
        size = _remove_smallest(keys, cells, size)
        if frozen[here]:
            continue
        frozen[here] = True
        farthest = key
        for side in range(4):
            step = 1 if side == 0 else -1 if side == 1 else stride if side == 2 else -stride
            there = here + step
            if not domain[there] or frozen[there]:
                continue
            reached = _solve(distances, frozen, there, stride)
            if reached < distances[there]:
                distances[there] = reached
                size = _push(keys, cells, size, reached, there)
    return farthest


@compiled
def _solve(distances: Float64, frozen: Bool, cell: int, stride: int) -> float:
    """The first-order upwind solution of |grad d| = 1 at `cell` from its frozen neighbors."""
    across, along = np.inf, np.inf
    for step in (-1, 1):
        if frozen[cell + step]:
            across = min(across, distances[cell + step])
        if frozen[cell + step * stride]:
            along = min(along, distances[cell + step * stride])
    low, high = min(across, along), max(across, along)
    if high - low >= 1.0:
        return low + 1.0
    # (d - low)^2 + (d - high)^2 = 1
    return 0.5 * (low + high + np.sqrt(2.0 - (high - low) ** 2))  # type: ignore[no-any-return]  # numpy scalar


@compiled
def _push(keys: Float64, cells: IntArray, size: int, key: float, cell: int) -> int:
    """Adds an entry to a binary heap of `size` entries; gives the new size."""
    place = size
    while place > 0:
        parent = (place - 1) >> 1
        if keys[parent] <= key:
            break
        keys[place], cells[place] = keys[parent], cells[parent]
        place = parent
    keys[place], cells[place] = key, cell
    return size + 1


@compiled
def _remove_smallest(keys: Float64, cells: IntArray, size: int) -> int:
    """Removes the first entry of a binary heap of `size` entries; gives the new size."""
    size -= 1
    key, cell = keys[size], cells[size]
    place = 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if key <= keys[child]:
            break
        keys[place], cells[place] = keys[child], cells[child]
        place = child
    keys[place], cells[place] = key, cell
    return size
