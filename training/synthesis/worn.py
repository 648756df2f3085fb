"""What a forearm wears: a sleeve with cuff and folds, a watch or bracelet; and where the arm ends. All on the hand at rest.

Sections of the forearm are ellipses in the frame (u, v, along): along from the wrist to the elbow, u to the thumb's side.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from handmap.types.arrays import Float64

from ..hand.hand_model import ELBOW, HandShape
from .render import cut_forearm
from .solids import Mesh, circle, cylinder, loft, moved

SECTION_MM = 25.0  # of forearm that one ellipse is fitted to
RING_MM = 7.0  # between the rings of a sleeve
CLOTH_MM = 3.0  # from the skin to the cloth, at least
BEYOND_ELBOW_MM = 20.0


@dataclass(frozen=True)
class _Forearm:
    """Axes (3, 3) as rows u, v, along; rows (S, 4) of middle and half axis along u and v, mm, at the places along_mm (S,)."""

    axes: Float64
    along_mm: Float64
    sections_mm: Float64
    length_mm: float

    def section(self, along_mm: float) -> Float64:
        """Middle u, v and half axes u, v (4,) at a place, mm."""
        return np.array([np.interp(along_mm, self.along_mm, column) for column in self.sections_mm.T])

    def ring(self, along_mm: float, widened: Float64 | float) -> Float64:
        """Points (M, 3) around the arm, `widened` (M,) mm off the skin's ellipse."""
        middle_u, middle_v, half_u, half_v = self.section(along_mm)
        points = circle()
        u = middle_u + points[:, 0] * (half_u + widened)
        v = middle_v + points[:, 1] * (half_v + widened)
        ring: Float64 = np.stack([u, v, np.full(len(points), along_mm)], axis=1) @ self.axes
        return ring


def draw_clothes(
    shape: HandShape, cut_share: float, sleeve_share: float, watch_share: float, random: np.random.Generator
) -> tuple[HandShape, tuple[Mesh, ...]]:
    """The hand at rest with its forearm perhaps cut short, and what it wears, in the hand frame.

    A sleeve hides a watch, so an arm has one of them at most.
    """
    cut, sleeve, length, start, width, near = random.uniform((0, 0, 0, 25, 1.08, 0), (1, 1, 1, 120, 1.5, 1))
    is_watch = watch_share > 0 and random.uniform() < watch_share
    worn: tuple[Mesh, ...] = ()
    length_mm = (5 + 35 * length if near < 0.4 else 40 + 140 * length) if cut < cut_share else math.inf
    forearm = _forearm(shape) if is_watch or sleeve < sleeve_share else None
    if forearm is not None and sleeve < sleeve_share:
        # From the wrist to three quarters of the way up, near the hand more often: there it is in the hand's cube.
        start_mm = 8 + forearm.length_mm * 0.75 * ((start - 25) / 95) ** 2
        end_mm = min(length_mm, forearm.length_mm + BEYOND_ELBOW_MM)
        if end_mm > start_mm + RING_MM:
            worn = (_sleeve(forearm, start_mm, end_mm, (width - 1) * 40, random),)
    elif forearm is not None:
        worn = _watch(forearm, random)
    if math.isfinite(length_mm):
        shape = replace(shape, vertices_mm=cut_forearm(shape.vertices_mm, shape.anchors_mm[ELBOW], length_mm))
    return shape, worn


def _forearm(shape: HandShape) -> _Forearm:
    elbow = shape.anchors_mm[ELBOW]
    length_mm = float(np.linalg.norm(elbow))
    along = elbow / length_mm
    u = np.array([1.0, 0, 0]) - along[0] * along
    u /= np.linalg.norm(u)
    axes = np.stack([u, np.cross(along, u), along])
    points = shape.vertices_mm @ axes.T
    places, sections = [], []
    for place in np.arange(SECTION_MM / 2, length_mm - SECTION_MM / 2, SECTION_MM):
        flat = points[np.abs(points[:, 2] - place) < SECTION_MM / 2 + 5, :2]
        if not len(flat):  # between two rows of a large hand's mesh
            continue
        low, high = flat.min(axis=0), flat.max(axis=0)
        places.append(place)
        sections.append([*(low + high) / 2, *(high - low) / 2])
    return _Forearm(axes, np.array(places), np.array(sections), length_mm)


def _sleeve(forearm: _Forearm, start_mm: float, end_mm: float, flare_mm: float, random: np.random.Generator) -> Mesh:
    """A tube of cloth, up to flare_mm off the arm at the cuff, with folds across and along it and an opening at the cuff."""
    along = np.linspace(start_mm, end_mm, max(round((end_mm - start_mm) / RING_MM), 1) + 1)
    loose_mm = random.uniform(2, 14)  # at the other end
    fold_mm = random.uniform(0, 5) if random.uniform() < 0.8 else random.uniform(5, 10)
    depth_mm = random.uniform(5, 25)
    angle = np.arange(len(circle())) * (2 * math.pi / len(circle()))
    share = (along - start_mm) / (end_mm - start_mm)
    off = flare_mm * np.exp(-4 * share) + loose_mm * share  # (R,)
    folds = np.zeros((len(along), len(angle)))
    for _ in range(2):
        period_mm, turns, phase = random.uniform(25, 70), int(random.integers(0, 4)), random.uniform(0, 2 * math.pi)
        folds += np.sin(along[:, None] * (2 * math.pi / period_mm) + turns * angle + phase) / 2
    widened = CLOTH_MM + off[:, None] + fold_mm * (1 + folds)
    rings = [forearm.ring(place, row) for place, row in zip(along, widened, strict=True)]
    # Inside the cuff the cloth runs back to the arm, so that one looks into an opening.
    inside = [forearm.ring(start_mm + depth_mm, 0.0) * 0.5 + forearm.ring(start_mm + depth_mm, 0.0).mean(axis=0) * 0.5]
    middle = rings[-1].mean(axis=0)
    return loft(np.stack([*inside, *rings, np.tile(middle, (len(angle), 1))]))


def _watch(forearm: _Forearm, random: np.random.Generator) -> tuple[Mesh, ...]:
    """A band around the wrist's end of the arm, mostly with a round face on the back or the palm's side."""
    place, width_mm, thick_mm = random.uniform((10, 8, 1.5), (45, 26, 4.5))
    low, high = place - width_mm / 2, place + width_mm / 2
    rings = [
        forearm.ring(low, -8.0),
        forearm.ring(low, thick_mm),
        forearm.ring(high, thick_mm),
        forearm.ring(high, -8.0),
    ]
    band = loft(np.stack(rings))
    if random.uniform() < 0.25:
        return (band,)
    radius_mm, height_mm = random.uniform((14, 7), (23, 15))
    _, middle_v, _, half_v = forearm.section(place)
    side = -1.0 if random.uniform() < 0.8 else 1.0  # v points out of the palm's side
    at = np.array([forearm.section(place)[0], middle_v + side * half_v, place]) @ forearm.axes
    u, v, along = forearm.axes
    return band, moved(cylinder(radius_mm, 2 * height_mm - 8), np.stack([along, u, v], axis=1), at)
