"""The robot hands that are known: the plain one ships, makers' ones have the links that we name, wrong ones are refused."""

from pathlib import Path

import numpy as np
import pytest

from clients.hand_vectors import hand_axes, map_vectors, reference_vectors
from clients.plain_hand import FOLDER, SIDES, plain_hand
from clients.robot_hands import HANDS, load_hand
from handmap.skeleton.body_pose import rotation_of
from handmap.types.errors import ConfigError
from handmap.types.joints import HAND21, MIDDLE_MCP
from handmap.types.values import Handedness
from tests.support.robot_gestures import CASES, RobotCase, gestures, joints_m

PLAIN_RIGHT = FOLDER / "plain_hand_right.urdf"


@pytest.mark.parametrize("side", SIDES)
def test_the_shipped_urdf_is_what_the_program_writes(side: str) -> None:
    assert (FOLDER / f"plain_hand_{side}.urdf").read_text() == plain_hand(side)


def test_the_left_plain_hand_is_the_mirror_image_of_the_right_one() -> None:
    left, right = (load_hand("plain", None, side).urdf for side in (Handedness.LEFT, Handedness.RIGHT))
    random = np.random.default_rng(1)
    angles = {name: random.uniform(*right.limits(name)) for name in right.driven}

    places, mirrored = left.link_poses(angles), right.link_poses(angles)

    assert left.driven == right.driven and len(left.driven) == 16
    for link in right.links:
        assert places[link][:3, 3] == pytest.approx(mirrored[link][:3, 3] * [1, -1, 1], abs=1e-5)  # m


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key)
def test_the_side_is_read_from_the_urdf(case: RobotCase) -> None:
    assert case.load().hand.side is case.side


def test_without_side_and_urdf_the_plain_hand_is_a_right_one() -> None:
    assert load_hand("plain", None, None).hand.side is Handedness.RIGHT


@pytest.mark.parametrize(
    ("name", "urdf", "side", "words"),
    [
        ("shadow", None, None, ["'shadow'", "plain, inspire, allegro, leap", "--hand"]),
        ("allegro", None, None, ["no URDF", "--urdf"]),
        ("inspire", PLAIN_RIGHT, None, ["no link thumb_intermediate", "and 3 more", "plain_hand_right.urdf", "--urdf"]),
        ("plain", PLAIN_RIGHT, Handedness.LEFT, ["found a right hand", "wanted a left one", "--side"]),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(
    name: str, urdf: Path | None, side: Handedness | None, words: list[str]
) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_hand(name, urdf, side)

    assert all(word in str(refusal.value) for word in words), str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("turn", ["1.5708 0 0", "0 1.5708 0", "0 0 3.1416"])
def test_a_hand_in_other_axes_is_refused(tmp_path: Path, turn: str) -> None:
    base = (
        '<link name="base"/><joint name="base_joint" type="fixed">'
        f'<origin rpy="{turn}"/><parent link="base"/><child link="palm"/></joint></robot>'
    )
    path = tmp_path / "turned.urdf"
    path.write_text(PLAIN_RIGHT.read_text().replace("</robot>", base))

    with pytest.raises(
        ConfigError, match=r"found fingers along .[xyz] that bend to .[xyz].*wanted a root link with z along"
    ):
        load_hand("plain", path, None)


@pytest.mark.parametrize("side", [Handedness.LEFT, Handedness.RIGHT])
def test_the_hand_frame_turns_with_the_hand(side: Handedness) -> None:
    xyz_m = joints_m(gestures()["open"], side)
    turned = xyz_m @ rotation_of(np.array([[1.0, -0.4, 2.0]]))[0].T.astype(np.float32)

    for joints in (xyz_m, turned):
        axes = hand_axes(joints, side)
        assert axes is not None
        assert np.linalg.det(axes) == pytest.approx(1)
        x, y, z = axes @ (joints - joints[0]).T
        assert z[MIDDLE_MCP] == pytest.approx(0.1, abs=0.02) and abs(x[MIDDLE_MCP]) < 1e-6  # m
        towards_thumb = y[HAND21.index("index_mcp")] - y[HAND21.index("little_mcp")]
        assert bool(towards_thumb > 0.03) is (side is Handedness.RIGHT)  # m
        assert x[HAND21.index("thumb_tip")] > 0.01  # m: the thumb is before the palm


@pytest.mark.parametrize("side", [Handedness.LEFT, Handedness.RIGHT])
def test_bones_have_the_robots_lengths_and_touching_tips_touch(side: Handedness) -> None:
    loaded = load_hand("plain", None, side)
    vectors = map_vectors(loaded)
    xyz_m = joints_m(gestures()["pinch"], side)

    small, large = reference_vectors(vectors, xyz_m), reference_vectors(vectors, xyz_m * np.float32(1.3))

    assert small is not None and large is not None
    assert small == pytest.approx(large, abs=1e-5)  # m: the person's size does not matter
    lengths_m = np.linalg.norm(small, axis=1)
    assert lengths_m[: vectors.bone_count] == pytest.approx(vectors.lengths_m, rel=1e-4)
    tips_m = dict(zip(vectors.task_links[vectors.bone_count :], lengths_m[vectors.bone_count :], strict=True))
    assert set(tips_m) == {f"{finger}_tip" for finger in ("index", "middle", "ring", "little")}
    assert tips_m["index_tip"] < 0.004 and tips_m["middle_tip"] > 0.05  # m


def test_a_right_hand_bends_its_fingers_out_of_the_palm() -> None:
    loaded = load_hand("plain", None, Handedness.RIGHT)
    vectors = map_vectors(loaded)
    fist = reference_vectors(vectors, joints_m(gestures()["fist"], Handedness.RIGHT))

    assert fist is not None
    index = vectors.origin_links.index("index_proximal")
    assert fist[index, 0] > 0.03 and abs(fist[index, 1]) < 0.02  # m: x is out of the palm


@pytest.mark.parametrize("joints", [np.zeros((21, 3)), np.arange(63).reshape(21, 3)])
def test_joints_that_are_no_hand_have_no_vectors(joints: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> None:
    vectors = map_vectors(load_hand("plain", None, None))

    assert reference_vectors(vectors, joints.astype(np.float32)) is None


def test_the_names_in_the_help_are_all_names() -> None:
    assert list(HANDS) == ["plain", "inspire", "allegro", "leap"]
