"""Hands far from the base mesh: lengths of fingers and palm, its width, girth and taper scaled, each on its own.

The scanned shapes differ in size (2nd to 98th percentile 0.84 to 1.21 of the mean) but hardly in proportion (1 to 5 %).
Ranges are hand length 193 +- 10 mm of men and 180 +- 10 mm of women, breadth 90 +- 4 mm and 79 +- 4 mm (mean +- SD, rounded, as
surveys of US Army personnel give them: ANSUR II 2012, Greiner 1991), taken from the women's mean less 2.5 SD to the men's
mean plus 2.5 SD, over the mean of both: 155 to 218 mm over 186.5 mm, and 69 to 100 mm over 84.5 mm. Percentiles of single
fingers, girth and taper are not quoted from a survey: fingers and palm take the range of the length, girth that of the breadth.
The outer ranges reach to 3.5 SD.
"""

from dataclasses import dataclass, replace

import numpy as np

from handmap.types.arrays import Float32, Float64
from handmap.types.joints import FINGERS

from ..compiled import IntArray, compiled
from .hand_model import ARCH_PIVOT, ELBOW, FIRST_FINGER_BONE, FOREARM, PIVOTS, HandAsset, HandShape

LENGTH = (0.83, 1.17)
BREADTH = (0.82, 1.18)
# Ratio of two breadths that vary on their own by 4.4 % within a sex: 2.5 * sqrt(2) * 4.4 %, so wider than life.
TAPER = (0.85, 1.16)
OUTER_LENGTH = (0.78, 1.22)
OUTER_BREADTH = (0.77, 1.23)
FINGER_ALONE = (0.93, 1.07)  # of one finger beside the others
GIRTH_TO_WIDTH = (0.9, 1.12)  # four fingers have to find room side by side
PALM_ANCHORS = np.array([0, 1, 5, 9, 13, 17, ARCH_PIVOT])


@dataclass(frozen=True)
class ShapeVariation:
    """Scales of a hand at rest: finger_lengths (5,) from the thumb on, palm_width, palm_length, girth of fingers, palm and
    forearm, and taper, which is how much wider the tips get against the finger bases than they are."""

    finger_lengths: Float64
    palm_width: float
    palm_length: float
    girth: float
    taper: float


def draw_variation(random: np.random.Generator) -> ShapeVariation:
    """Scales within the ranges that training draws from."""
    together = random.uniform(*LENGTH)
    fingers = np.clip(together * random.uniform(*FINGER_ALONE, len(FINGERS)), *LENGTH)
    palm_length, palm_width = random.uniform(*LENGTH), random.uniform(*BREADTH)
    girth = float(np.clip(palm_width * random.uniform(*GIRTH_TO_WIDTH), *BREADTH))
    return ShapeVariation(fingers, palm_width, palm_length, girth, random.uniform(*TAPER))


def draw_outer_variation(random: np.random.Generator) -> ShapeVariation:
    """Scales, at least one of them between the training range and the outer range: fingers, palm length or palm width."""
    inner = draw_variation(random)
    length, breadth = _beyond(LENGTH, OUTER_LENGTH, random), _beyond(BREADTH, OUTER_BREADTH, random)
    which = int(random.integers(3))
    if which == 0:
        return replace(inner, finger_lengths=np.full(len(FINGERS), length))
    if which == 1:
        return replace(inner, palm_length=length)
    girth = float(np.clip(inner.girth, breadth * GIRTH_TO_WIDTH[0], breadth * GIRTH_TO_WIDTH[1]))
    return replace(inner, palm_width=breadth, girth=girth)


def vary_shape(asset: HandAsset, shape: HandShape, variation: ShapeVariation) -> HandShape:
    """The hand with its bones and the flesh around them scaled; directions of bones stay, so that the asset's axes hold."""
    before = shape.anchors_mm
    palm = np.array([variation.palm_width, variation.palm_length, variation.girth])
    after = before.copy()
    after[PALM_ANCHORS] *= palm
    for finger, scale in enumerate(variation.finger_lengths):
        for joint in range(1 + 4 * finger, 4 + 4 * finger):
            after[joint + 1] = after[joint] + scale * (before[joint + 1] - before[joint])
    figures = np.array([*palm, variation.taper, *variation.finger_lengths])
    skin = _vary_skin(shape.vertices_mm, asset.weight_bones, asset.weights, np.stack([before, after]), figures)
    return HandShape(skin, after)


def _beyond(inner: tuple[float, float], outer: tuple[float, float], random: np.random.Generator) -> float:
    """A scale in one of the two gaps between the ranges."""
    is_large = random.uniform() < 0.5
    return random.uniform(inner[1], outer[1]) if is_large else random.uniform(outer[0], inner[0])


@compiled
def _vary_skin(
    vertices: Float32, weight_bones: IntArray, weights: Float32, anchors: Float64, figures: Float64
) -> Float32:
    """Vertices (V, 3) moved by each bone's own map, blended as in skinning; anchors (2, 23, 3) are those before and after."""
    result = np.zeros(vertices.shape, np.float32)
    taper, girth = figures[3], figures[2]
    for i in range(len(vertices)):
        for j in range(weights.shape[1]):
            weight, bone = weights[i, j], weight_bones[i, j]
            if weight <= 0:
                continue
            if bone < FIRST_FINGER_BONE and bone != FOREARM:
                for k in range(3):
                    result[i, k] += weight * figures[k] * vertices[i, k]
                continue
            start = PIVOTS[bone]
            end = ELBOW if bone == FOREARM else start + 1
            along, length = 0.0, 0.0
            for k in range(3):
                direction = anchors[0, end, k] - anchors[0, start, k]
                along += direction * (vertices[i, k] - anchors[0, start, k])
                length += direction * direction
            share = along / length
            across, stretch = girth, 1.0
            if bone != FOREARM:
                third = (bone - FIRST_FINGER_BONE) % 3
                across *= taper ** ((third + min(max(share, 0.0), 1.0)) / 3 - 0.5)
                stretch = figures[4 + (bone - FIRST_FINGER_BONE) // 3]
            for k in range(3):
                on_bone = share * (anchors[0, end, k] - anchors[0, start, k])
                off_bone = vertices[i, k] - anchors[0, start, k] - on_bone
                result[i, k] += weight * (anchors[1, start, k] + stretch * on_bone + across * off_bone)
    return result
