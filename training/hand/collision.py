"""Whether a posed hand cuts into itself: fingers and palm as capsules around the bones."""

import numpy as np

from handmap.types.arrays import Float64

from ..compiled import IntArray, compiled

# Capsules as (joint, joint, radius in mm) in the mean hand: three a finger from the thumb on, then four of the palm. Radii are
# about 0.85 of the flesh around the bones, which touching skin presses in.
FINGER_RADII_MM = np.array([[8.0, 7.5, 6.3], [7.0, 6.3, 5.2], [7.2, 6.5, 5.4], [6.8, 6.2, 5.2], [6.0, 5.3, 4.6]])
PALM_RADIUS_MM = 8.5
MEAN_PALM_MM = 101.0  # wrist to middle knuckle of the hand that the radii are for

_SEGMENTS = [(1 + 4 * f + k, 2 + 4 * f + k) for f in range(5) for k in range(3)] + [
    (0, knuckle) for knuckle in (5, 9, 13, 17)
]
_RADII_MM = np.array([*FINGER_RADII_MM.ravel(), *[PALM_RADIUS_MM] * 4])


def _may_collide(first: int, second: int) -> bool:
    """Neighbors on one finger cannot; a base phalanx cannot reach its neighbor's or the palm."""
    if first >= 15:
        return False
    if second >= 15:
        return first % 3 > 0
    same_finger = first // 3 == second // 3
    both_bases = first % 3 == 0 and second % 3 == 0
    return not (same_finger or both_bases)


_PAIRS = [(a, b) for a in range(19) for b in range(a + 1, 19) if _may_collide(a, b)]
CAPSULE_PAIRS = np.array([(*_SEGMENTS[a], *_SEGMENTS[b]) for a, b in _PAIRS])
MIN_MM = np.array([_RADII_MM[a] + _RADII_MM[b] for a, b in _PAIRS])


def self_collides(joints_mm: Float64) -> bool:
    """Whether any two capsules of the hand with joints (21, 3) overlap; radii grow with the palm."""
    scale = float(np.linalg.norm(joints_mm[9] - joints_mm[0])) / MEAN_PALM_MM
    return _any_nearer(joints_mm, CAPSULE_PAIRS, MIN_MM * scale)


@compiled
def _any_nearer(points: Float64, pairs: IntArray, least: Float64) -> bool:
    """Whether the segments of any pair (P, 4: start, end, start, end) are nearer than least (P,)."""
    for i in range(len(pairs)):
        squared = _squared_distance(points[pairs[i, 0]], points[pairs[i, 1]], points[pairs[i, 2]], points[pairs[i, 3]])
        if squared < least[i] * least[i]:
            return True
    return False


@compiled
def _squared_distance(start: Float64, end: Float64, other_start: Float64, other_end: Float64) -> float:
    """Squared distance of two segments, by clamped projection (Ericson, Real-Time Collision Detection, 5.1.9)."""
    a = e = b = c = f = 0.0
    for i in range(3):
        d1 = end[i] - start[i]
        d2 = other_end[i] - other_start[i]
        r = start[i] - other_start[i]
        a += d1 * d1
        e += d2 * d2
        b += d1 * d2
        c += d1 * r
        f += d2 * r
    slant = a * e - b * b
    s = min(max((b * f - c * e) / slant, 0.0), 1.0) if slant > 1e-9 else 0.0
    t = (b * s + f) / e
    if t < 0.0:
        t = 0.0
        s = min(max(-c / a, 0.0), 1.0)
    elif t > 1.0:
        t = 1.0
        s = min(max((b - c) / a, 0.0), 1.0)
    squared = 0.0
    for i in range(3):
        gap = start[i] + s * (end[i] - start[i]) - other_start[i] - t * (other_end[i] - other_start[i])
        squared += gap * gap
    return squared
