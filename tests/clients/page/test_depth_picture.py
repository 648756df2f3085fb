"""What is drawn of a preview: depth in colors, hands where they are, and the points of the hands."""

import msgspec
import numpy as np
import pytest

from clients.page.colors import MISSING_RGB, SIDE_RGB, SURE_RGB, UNSURE_RGB, depth_colors, error_colors
from clients.page.depth_picture import BAR_PX, WIDTH_PX, depth_ends_mm, draw_nothing, draw_picture
from clients.page.hand_cloud import hand_cloud
from handmap.protocol.preview import Cube, Picture, deflate, depth_mm_of
from handmap.types.arrays import Float32, Uint8
from handmap.types.errors import PacketError
from handmap.types.intrinsics import project
from handmap.types.values import Handedness
from tests.support.previews import CENTER_MM, hand_picture, joints_mm


def drawn(picture: Picture) -> Uint8:
    return draw_picture(picture, depth_mm_of(picture))


def cloud(picture: Picture) -> tuple[Float32, Uint8]:
    return hand_cloud(picture, depth_mm_of(picture))


def has_color(pixels: Uint8, color: tuple[int, int, int]) -> bool:
    return bool((pixels == np.array(color)).all(axis=-1).any())


def test_both_hands_are_drawn_in_their_colors_where_they_are() -> None:
    picture = hand_picture(Handedness.LEFT, Handedness.RIGHT)
    right_only = drawn(hand_picture(Handedness.RIGHT))
    both = drawn(picture)

    assert both.shape == (WIDTH_PX * 3 // 4 + BAR_PX, WIDTH_PX, 3)
    assert has_color(both, SIDE_RGB[Handedness.RIGHT]) and not has_color(right_only, SIDE_RGB[Handedness.LEFT])
    u, v = project(np, joints_mm()[[8]], picture.intrinsics)[0] * (WIDTH_PX / picture.width_px)
    around = right_only[round(v) - 3 : round(v) + 4, round(u) - 3 : round(u) + 4].reshape(-1, 3)
    assert (around == error_colors(np.array([6.0]))).all(axis=1).any(), "a joint's dot says how sure it is"


def test_a_hand_behind_the_camera_is_left_out() -> None:
    picture = hand_picture(Handedness.RIGHT)
    behind = msgspec.structs.replace(
        picture.hands[0], cube=Cube((0.0, 0.0, 10.0), 250.0), joints_mm=((0.0, 0.0, -1.0),) * 21
    )

    shown = drawn(msgspec.structs.replace(picture, hands=(behind,), proposals=()))

    assert np.array_equal(shown, drawn(msgspec.structs.replace(picture, hands=(), proposals=())))


def test_damaged_depth_is_refused() -> None:
    with pytest.raises(PacketError):
        depth_mm_of(msgspec.structs.replace(hand_picture(), depth=b"x"))


def test_depth_runs_from_light_to_dark_and_what_is_missing_has_its_color() -> None:
    colors = depth_colors(np.array([0, 300, 400, 500, 9000], np.float32), 300, 500).astype(int)

    assert tuple(colors[0]) == MISSING_RGB
    brightness = colors[1:].sum(axis=1)
    assert brightness[0] > brightness[1] > brightness[2] == brightness[3]


@pytest.mark.parametrize(
    ("depths", "ends"), [([], (0.0, 100.0)), ([412, 450, 588], (400.0, 600.0)), ([300], (300.0, 400.0))]
)
def test_the_depth_bar_ends_at_whole_steps(depths: list[int], ends: tuple[float, float]) -> None:
    assert depth_ends_mm(np.array(depths, np.float32)) == ends


def test_an_empty_frame_and_a_reason_are_pictures_too() -> None:
    picture = hand_picture()
    empty = msgspec.structs.replace(picture, depth=deflate(np.zeros((240, 320), np.uint16)))

    assert has_color(drawn(empty), MISSING_RGB)
    assert len(np.unique(draw_nothing("the camera gives no frames").reshape(-1, 3), axis=0)) > 2


def test_error_colors_run_from_sure_to_unsure() -> None:
    colors = error_colors(np.array([0.0, 5.0, 30.0, 1e9]))

    assert (colors[:2] == SURE_RGB.astype(np.uint8)).all() and (colors[2:] == UNSURE_RGB.astype(np.uint8)).all()


def test_the_cloud_is_what_lies_in_the_cubes() -> None:
    points, colors = cloud(hand_picture(Handedness.RIGHT))

    assert len(points) == len(colors) > 1000
    assert np.allclose(points.mean(axis=0), np.array(CENTER_MM) / 1000, atol=0.003)
    assert np.ptp(points[:, 0]) == pytest.approx(0.12, abs=0.005)
    nowhere, _ = cloud(hand_picture())
    assert nowhere.shape == (0, 3)


def test_the_cloud_is_in_the_published_frame() -> None:
    turned = ((0.0, 0.0, 1.0, 0.1), (-1.0, 0.0, 0.0, 0.2), (0.0, -1.0, 0.0, 0.3))
    picture = hand_picture(Handedness.RIGHT)

    points, _ = cloud(picture)
    moved, _ = cloud(msgspec.structs.replace(picture, camera_to_frame=turned))

    rows = np.array(turned)
    assert np.allclose(moved, points @ rows[:, :3].T + rows[:, 3], atol=1e-5)
