"""The capsules of a hand run from joint to joint, as thick as the hand is large."""

import numpy as np
import pytest

from clients.capsules import CYLINDER_SIDES, MAX_SCALE, MIN_SCALE, capsules_of, unit_cylinder, unit_sphere
from clients.page.colors import UNSURE_RGB
from clients.page.scene import DrawnHand, drawn_hand
from docs.skeleton_golden import golden_angles, golden_hand
from handmap.protocol.fields import HandFlags
from handmap.protocol.packet import PacketHand
from handmap.skeleton.hand_shape import load_skeleton_model
from handmap.types.arrays import Float32, Float64
from handmap.types.joints import BONES, HAND21, KNUCKLES
from handmap.types.values import Handedness

STARTS, ENDS = np.array(BONES).T


def mean_hand_m(turn: Float64 | None = None, is_left: bool = False) -> Float32:
    """Joints (21, 3) of the mean hand in its natural pose, turned by a rotation vector."""
    hand = golden_hand(golden_angles()["natural"], np.zeros(3) if turn is None else turn, is_left)
    joints_m: Float32 = (hand.joints_mm[0] / 1000).astype(np.float32)
    return joints_m


def turned(wxyz: Float32, points: Float64) -> Float64:
    """Points (3,) turned by unit quaternions (B, 4): p + 2 v cross (v cross p + w p)."""
    w, v = wxyz[:, :1].astype(float), wxyz[:, 1:].astype(float)
    result: Float64 = points + 2 * np.cross(v, np.cross(v, points) + w * points)
    return result


def cylinder_points(xyz_m: Float32) -> Float64:
    """Vertices (20, V, 3) of the cylinders as the browser places them: scaled, turned, moved."""
    capsules = capsules_of(xyz_m)
    vertices, _ = unit_cylinder()
    placed = [
        turned(capsules.wxyz, vertex.astype(float) * capsules.scales_m) + capsules.centers_m for vertex in vertices
    ]
    return np.stack(placed, axis=1)


@pytest.mark.parametrize("is_left", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_cylinders_run_from_joint_to_joint_whichever_way_the_hand_is_turned(seed: int, is_left: bool) -> None:
    joints = mean_hand_m(np.random.default_rng(seed).normal(0, 2, 3), is_left)

    rings = cylinder_points(joints).reshape(20, 2, CYLINDER_SIDES, 3)

    middles = rings.mean(axis=2)
    forth = np.linalg.norm(middles - joints[np.stack([STARTS, ENDS], axis=1)], axis=-1).max(axis=1)
    back = np.linalg.norm(middles - joints[np.stack([ENDS, STARTS], axis=1)], axis=-1).max(axis=1)
    assert np.minimum(forth, back).max() < 1e-6  # m
    away = np.linalg.norm(rings - middles[:, :, None], axis=-1)
    radii = capsules_of(joints).scales_m[:, :1, None]
    assert np.abs(away - radii).max() < 1e-6
    assert np.abs(np.einsum("brsk,bk->brs", rings - middles[:, :, None], joints[ENDS] - joints[STARTS])).max() < 1e-8


def test_the_mean_hand_has_the_radii_of_the_asset_and_a_larger_one_larger_ones() -> None:
    mean, large = capsules_of(mean_hand_m()), capsules_of(1.2 * mean_hand_m())
    radii_m = load_skeleton_model().radii_mm / 1000

    assert mean.scales_m[:, 0] == pytest.approx((radii_m[STARTS] + radii_m[ENDS]) / 2, abs=1e-6)
    assert large.scales_m == pytest.approx(1.2 * mean.scales_m, abs=1e-6)
    assert large.joint_radii_m == pytest.approx(1.2 * mean.joint_radii_m, abs=1e-6)


def test_a_joint_closes_every_capsule_that_ends_there() -> None:
    capsules = capsules_of(mean_hand_m())

    for joint, radius in enumerate(capsules.joint_radii_m):
        assert radius == max(capsules.scales_m[(np.array(BONES) == joint).any(axis=1), 0])


def test_radii_change_little_with_one_wrong_joint_and_stay_within_bounds() -> None:
    joints = mean_hand_m()
    off = joints.copy()
    off[HAND21.index("index_tip")] += 0.5

    assert capsules_of(off).joint_radii_m == pytest.approx(capsules_of(joints).joint_radii_m, rel=0.05)
    for wrong, scale in ((joints * 100, MAX_SCALE), (joints * 0, MIN_SCALE)):
        assert capsules_of(wrong).joint_radii_m == pytest.approx(scale * capsules_of(joints).joint_radii_m, rel=1e-4)


def test_bones_of_length_0_and_at_the_edge_of_float32_are_numbers() -> None:
    folded = mean_hand_m()
    folded[list(KNUCKLES)] = folded[0]
    edge = np.where(np.arange(21)[:, None] % 2, 3e38, -3e38).astype(np.float32).repeat(3, axis=1)

    for joints in (folded, np.zeros((21, 3), np.float32), edge):
        capsules = capsules_of(joints)
        values = [capsules.joint_radii_m, capsules.centers_m, capsules.wxyz, capsules.scales_m]
        assert all(np.isfinite(value).all() and value.dtype == np.float32 for value in values)
        assert (capsules.scales_m > 0).all() and np.allclose(np.linalg.norm(capsules.wxyz, axis=1), 1)


def test_a_doubted_joint_has_a_color_of_its_own() -> None:
    shape = drawn_with_one_doubted(HAND21.index("index_pip"))

    is_red = (shape.colors == UNSURE_RGB.astype(np.uint8)).all(axis=1)
    assert is_red.tolist() == [name == "index_pip" for name in HAND21]
    assert len(np.unique(shape.colors, axis=0)) == 2


def drawn_with_one_doubted(joint: int) -> DrawnHand:
    """The mean hand, sure of all joints but one."""
    expected = np.full(21, 0.001, np.float32)
    expected[joint] = 0.1
    return drawn_hand(PacketHand(mean_hand_m(), expected, 1, Handedness.RIGHT, 1.0, 1.0, HandFlags.VALID))


@pytest.mark.parametrize(("mesh", "is_closed"), [(unit_sphere(), True), (unit_cylinder(), False)])
def test_meshes_face_outwards_and_share_their_vertices(mesh: tuple[Float32, Float32], is_closed: bool) -> None:
    vertices, faces = mesh
    corners = vertices[faces].astype(float)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outward = corners.mean(axis=1) * ([1, 1, 1] if is_closed else [1, 1, 0])
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    _, uses = np.unique(edges, axis=0, return_counts=True)

    assert ((normals * outward).sum(axis=1) > 0).all()
    assert (uses == 1).sum() == (0 if is_closed else 2 * CYLINDER_SIDES)
    assert uses.max() == 2


def test_the_sphere_is_round() -> None:
    assert np.allclose(np.linalg.norm(unit_sphere()[0], axis=1), 1)
