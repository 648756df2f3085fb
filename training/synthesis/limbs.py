"""Tubes along bent lines, under cloth that hangs in folds: arms, legs, torsos."""

import math

import numpy as np

from handmap.types.arrays import Float64

from .solids import Mesh, circle, loft

POINTS = 15  # of a bent line
ROUNDED = 3  # neighbors that a bend is smoothed over


def bent(start_mm: Float64, middle_mm: Float64, end_mm: Float64) -> Float64:
    """Points (15, 3) in mm from start to end by way of the middle, evenly spaced, the corner rounded."""
    first, second = float(np.linalg.norm(middle_mm - start_mm)), float(np.linalg.norm(end_mm - middle_mm))
    places = np.linspace(0, first + second, POINTS)
    corners = np.stack([start_mm, middle_mm, end_mm])
    line = np.stack([np.interp(places, (0, first, first + second), corners[:, k]) for k in range(3)], axis=1)
    smooth = line.copy()
    for _ in range(ROUNDED):
        smooth[1:-1] = (smooth[:-2] + 2 * smooth[1:-1] + smooth[2:]) / 4
    return smooth


def straight(start_mm: Float64, end_mm: Float64, points: int = 8) -> Float64:
    """Points (points, 3) in mm from start to end, evenly spaced."""
    line: Float64 = start_mm + np.linspace(0, 1, points)[:, None] * (end_mm - start_mm)
    return line


def tube(path_mm: Float64, radii_mm: Float64, fold_mm: float, random: np.random.Generator) -> Mesh:
    """The skin around a line (P, 3), half axes radii_mm (P, 2) across and along its bend, in folds up to fold_mm deep, both ends round."""
    ahead = np.gradient(path_mm, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    across = _across(path_mm, ahead)
    beside = np.cross(ahead, across)
    points = circle()  # (M, 2)
    widened = radii_mm[:, None, :] + _folds(path_mm, fold_mm, random)[..., None]  # (P, M, 2)
    flat = points * widened
    rings = path_mm[:, None] + flat[..., :1] * across[:, None] + flat[..., 1:] * beside[:, None]
    return loft(np.concatenate([_end(rings[0], -ahead[0]), rings, _end(rings[-1], ahead[-1])[::-1]]))


def elbow_of(start_mm: Float64, end_mm: Float64, bones_mm: tuple[float, float], outwards: Float64) -> Float64:
    """Where two bones between start and end (3,) bend, to the side of `outwards` (3,); halfway where they are too short to bend."""
    along = end_mm - start_mm
    apart = float(np.linalg.norm(along))
    along = along / apart
    first, second = bones_mm
    share = min(max((first**2 - second**2 + apart**2) / (2 * apart), 0.1 * apart), 0.9 * apart)
    height = math.sqrt(max(first**2 - share**2, 0.0))
    side = outwards - (outwards @ along) * along
    side = side / max(float(np.linalg.norm(side)), 1e-6)
    elbow: Float64 = start_mm + share * along + height * side
    return elbow


def _across(path_mm: Float64, ahead: Float64) -> Float64:
    """Unit vectors (P, 3) normal to the line: the normal of the plane it bends in, or whatever is normal to a straight one."""
    normal = np.cross(ahead[0], path_mm[-1] - path_mm[len(path_mm) // 2])
    if float(np.linalg.norm(normal)) < 1e-3 * float(np.linalg.norm(path_mm[-1] - path_mm[0])):
        normal = np.eye(3)[int(np.argmin(np.abs(ahead[0])))]
    across = normal - (ahead @ normal)[:, None] * ahead
    unit: Float64 = across / np.linalg.norm(across, axis=1, keepdims=True)
    return unit


def _folds(path_mm: Float64, fold_mm: float, random: np.random.Generator) -> Float64:
    """How far (P, M) mm cloth stands off: two waves along and around the tube."""
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path_mm, axis=0), axis=1))])
    angle = np.arange(len(circle())) * (2 * math.pi / len(circle()))
    total = np.zeros((len(along), len(angle)))
    for _ in range(2):
        period_mm, phase = random.uniform((55, 0), (160, 2 * math.pi))
        turns = int(random.integers(0, 4))
        total += np.sin(along[:, None] * (2 * math.pi / period_mm) + turns * angle + phase) / 2
    folds: Float64 = fold_mm * (1 + total) / 2
    return folds


def _end(ring_mm: Float64, outwards: Float64) -> Float64:
    """Two more rings (2, M, 3) that close a ring (M, 3): a smaller one farther out and a point."""
    middle = ring_mm.mean(axis=0)
    radius = float(np.linalg.norm(ring_mm - middle, axis=1).mean())
    smaller = middle + 0.72 * (ring_mm - middle) + 0.4 * radius * outwards
    tip = np.tile(middle + 0.55 * radius * outwards, (len(ring_mm), 1))
    return np.stack([tip, smaller])
