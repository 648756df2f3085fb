"""Hands whose proportions are scaled: bones as asked, joints still in the flesh."""

from dataclasses import replace

import numpy as np
import pytest

from handmap.types.arrays import Float64
from training.hand.hand_model import HandShape, load_hand_asset, shape_hand
from training.hand.shape_variation import (
    BREADTH,
    GIRTH_TO_WIDTH,
    LENGTH,
    OUTER_BREADTH,
    OUTER_LENGTH,
    TAPER,
    ShapeVariation,
    draw_outer_variation,
    draw_variation,
    vary_shape,
)

ASSET = load_hand_asset()
MEAN = shape_hand(ASSET, np.zeros(16))
PLAIN = ShapeVariation(np.ones(5), 1.0, 1.0, 1.0, 1.0)


def finger_bones_mm(shape: HandShape) -> Float64:
    """Lengths (5, 3) of the phalanges."""
    fingers = shape.anchors_mm[1:21].reshape(5, 4, 3)
    lengths: Float64 = np.linalg.norm(np.diff(fingers, axis=1), axis=2)
    return lengths


def flesh_mm(shape: HandShape) -> Float64:
    """Distance (21,) of each joint to the nearest vertex of the skin."""
    nearest: Float64 = np.linalg.norm(shape.anchors_mm[:21, None] - shape.vertices_mm, axis=2).min(axis=1)
    return nearest


def test_scales_of_one_leave_the_hand_alone() -> None:
    varied = vary_shape(ASSET, MEAN, PLAIN)

    assert varied.vertices_mm == pytest.approx(MEAN.vertices_mm, abs=1e-3)  # mm
    assert varied.anchors_mm == pytest.approx(MEAN.anchors_mm, abs=1e-9)


def test_every_finger_is_as_long_as_asked() -> None:
    scales = np.array([0.8, 0.9, 1.0, 1.1, 1.2])

    varied = vary_shape(ASSET, MEAN, replace(PLAIN, finger_lengths=scales))

    assert finger_bones_mm(varied) == pytest.approx(finger_bones_mm(MEAN) * scales[:, None], rel=1e-9)
    assert varied.anchors_mm[[0, 1, 5, 9, 13, 17]] == pytest.approx(MEAN.anchors_mm[[0, 1, 5, 9, 13, 17]])


def test_palm_is_as_wide_and_long_as_asked() -> None:
    varied = vary_shape(ASSET, MEAN, replace(PLAIN, palm_width=1.2, palm_length=0.8))

    assert varied.anchors_mm[5, 0] - varied.anchors_mm[17, 0] == pytest.approx(
        1.2 * (MEAN.anchors_mm[5, 0] - MEAN.anchors_mm[17, 0])
    )
    assert varied.anchors_mm[9, 1] == pytest.approx(0.8 * MEAN.anchors_mm[9, 1])
    assert finger_bones_mm(varied) == pytest.approx(finger_bones_mm(MEAN))


def test_girth_and_taper_change_the_flesh_and_no_joint() -> None:
    thin, pointed = (vary_shape(ASSET, MEAN, one) for one in (replace(PLAIN, girth=0.8), replace(PLAIN, taper=0.85)))

    middle_of_fingers, tips = [6, 7, 10, 11, 14, 15], [8, 12, 16, 20]
    ratio = flesh_mm(thin)[middle_of_fingers] / flesh_mm(MEAN)[middle_of_fingers]
    assert ratio == pytest.approx(0.8, abs=0.05)
    assert np.all(flesh_mm(pointed)[tips] < 0.97 * flesh_mm(MEAN)[tips])
    assert np.array_equal(pointed.anchors_mm, MEAN.anchors_mm)


def test_joints_stay_inside_the_skin_as_deep_as_before() -> None:
    random = np.random.default_rng(1)

    varied = [
        vary_shape(ASSET, MEAN, draw(random)) for draw in (draw_variation, draw_outer_variation) for _ in range(60)
    ]

    ratios = np.stack([flesh_mm(shape) / flesh_mm(MEAN) for shape in varied])
    assert ratios.min() > 0.65 and ratios.max() < 1.45


def test_skin_stays_smooth() -> None:
    random = np.random.default_rng(2)
    edges = ASSET.triangles[:, [0, 1]]
    before = np.linalg.norm(np.diff(MEAN.vertices_mm[edges], axis=1)[:, 0], axis=1)

    for _ in range(60):
        varied = vary_shape(ASSET, MEAN, draw_outer_variation(random)).vertices_mm
        stretch = np.linalg.norm(np.diff(varied[edges], axis=1)[:, 0], axis=1) / before
        assert np.percentile(stretch, 99.9) < 1.8 and np.percentile(stretch, 0.1) > 0.45


def test_training_scales_keep_their_ranges_and_outer_ones_leave_them() -> None:
    random = np.random.default_rng(3)

    inner = [draw_variation(random) for _ in range(200)]
    outer = [draw_outer_variation(random) for _ in range(200)]

    assert all(is_inside(one) for one in inner)
    assert not any(is_inside(one) for one in outer)
    for one in [*inner, *outer]:
        assert np.all((one.finger_lengths >= OUTER_LENGTH[0]) & (one.finger_lengths <= OUTER_LENGTH[1]))
        assert OUTER_BREADTH[0] <= one.palm_width <= OUTER_BREADTH[1]
        assert GIRTH_TO_WIDTH[0] - 1e-9 <= one.girth / one.palm_width <= GIRTH_TO_WIDTH[1] + 1e-9


def is_inside(one: ShapeVariation) -> bool:
    """Whether all scales but the girth, which follows the width, lie in the training ranges."""
    lengths = np.append(one.finger_lengths, one.palm_length)
    return bool(
        np.all((lengths >= LENGTH[0]) & (lengths <= LENGTH[1]))
        and BREADTH[0] <= one.palm_width <= BREADTH[1]
        and TAPER[0] <= one.taper <= TAPER[1]
    )
