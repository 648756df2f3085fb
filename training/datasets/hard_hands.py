"""Frames of the hard sets with a hand, of ten kinds, each with one thing that makes trackers lose it.

A left hand is a mirrored world before the sensor, so that no shadow of a camera tells the side. The hand's own scene is that of
`scene.draw_scene`; what stands in its cube, behind it and before it is drawn here, unlike anything in training.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from handmap.recording.datasets import KindFrame, LabeledFrame
from handmap.types.arrays import Bool, Float32, Float64
from handmap.types.intrinsics import Intrinsics, project
from handmap.types.values import DepthFrame, Handedness, TimestampSource

from ..hand.hand_model import HandAsset, HandShape, load_hand_asset
from ..hand.poses import Kind, folded_tips, one_bent, open_hand, pointing, sample_kind, sample_pose
from ..hand.rotations import uniform_rotation
from ..synthesis.observe import visible_joints
from ..synthesis.placement import Placement
from ..synthesis.render import draw_mesh
from ..synthesis.rooms import draw_backdrop
from ..synthesis.scene import (
    FULL_IMAGE,
    HEIGHT_PX,
    MIN_JOINT_MM,
    WIDTH_PX,
    Scene,
    center_of,
    draw_scene,
    render_scene,
    skin_of,
)
from ..synthesis.sensor import Sensor, draw_any_sensor, sense
from ..synthesis.solids import Mesh, moved
from ..synthesis.things import make_thing

DEPTH_UNIT_MM = 1.0
SALT, HOLES = 0.01, 0.25
OTHER_HAND_SHARE = 0.5  # of company; the rest is a thing
OTHER_SIDE_SHARE = 0.75  # of other hands
ATTEMPTS = 40
SEEN_SHARE = 0.6  # of the hand that stays in sight beside company
ABOUT_MM = 16.0  # around the joints: the hand, in which holes are punched
PLAIN = Placement(border_share=0, cut_share=0, sleeve_share=0, nearest_mm=250, farthest_mm=700)


@dataclass(frozen=True)
class HandKind:
    """One kind: where hands are put and how seen, of which poses (all if none is named), with what wrong."""

    placement: Placement = PLAIN
    poses: tuple[Kind, ...] = ()
    has_company: bool = False
    near_salt: float = 0.0
    hole_share: float = 0.0


HAND_KINDS = {
    "far": HandKind(replace(PLAIN, nearest_mm=700, farthest_mm=1000)),
    "border": HandKind(replace(PLAIN, border_share=1)),
    "edge_on": HandKind(replace(PLAIN, edge_on_share=1), (open_hand, pointing, one_bent)),
    "pointing_away": HandKind(replace(PLAIN, pointing_away_share=1), (open_hand, pointing)),
    "one_bent": HandKind(poses=(one_bent,)),
    "folded_fist": HandKind(poses=(folded_tips,)),
    "sleeve_or_watch": HandKind(replace(PLAIN, sleeve_share=0.55, watch_share=1)),
    "company": HandKind(has_company=True),
    "near_salt": HandKind(near_salt=SALT),
    "holes": HandKind(hole_share=HOLES),
}
PLAIN_HAND = HandKind()

DrawShape = Callable[[HandAsset, np.random.Generator], HandShape]


@dataclass(frozen=True)
class Staged:
    """A hand's scene, as if it were a right one's, and the other hand in its cube with its joints (21, 3) in mm, if there is one."""

    scene: Scene
    other_mm: Float64 | None
    is_other_right: bool


def stage_hand(kind: HandKind, draw_shape: DrawShape, random: np.random.Generator) -> Staged:
    """The scene in front of the camera, before anything is drawn."""
    asset = load_hand_asset()
    shape = draw_shape(asset, random)
    if kind.poses:
        pose = kind.poses[int(random.integers(len(kind.poses)))]
        _, hand = sample_kind(asset, shape.anchors_mm, pose, random)
    else:
        _, hand = sample_pose(asset, shape.anchors_mm, random)
    # No body beside it: that would hide some of the hand.
    scene = replace(draw_scene(asset, shape, hand, kind.placement, random), ellipsoid=None)
    if not kind.has_company:
        return Staged(scene, None, False)
    draws_hand = random.uniform() < OTHER_HAND_SHARE
    for _ in range(ATTEMPTS):
        joined = _with_other_hand(scene, draw_shape, random) if draws_hand else _with_thing(scene, random)
        if _is_in_sight(asset, joined):
            break
    return joined


def show_hand(kind_name: str, kind: HandKind, staged: Staged, is_left: bool, random: np.random.Generator) -> KindFrame:
    """The frame (480, 640) that a random sensor makes of it, mirrored first for a left hand."""
    asset, scene = load_hand_asset(), staged.scene
    z_mm, is_hand = render_scene(asset, scene, FULL_IMAGE)
    hands = [(scene.joints_mm, visible_joints(scene.joints_mm, scene.intrinsics, z_mm, is_hand), True)]
    if staged.other_mm is not None:
        is_there = np.ones(z_mm.shape, np.bool_)
        seen = visible_joints(staged.other_mm, scene.intrinsics, z_mm, is_there)
        hands.append((staged.other_mm, seen, staged.is_other_right))
    deepest = max(float(joints[:, 2].max()) for joints, _, _ in hands)
    behind = draw_backdrop(scene.intrinsics, deepest, random)
    z_mm = np.where(z_mm > 0, z_mm, behind).astype(np.float32)
    is_hand &= _about(scene)
    intrinsics = scene.intrinsics
    if is_left:
        z_mm, is_hand, intrinsics = mirror(z_mm, is_hand, intrinsics)
    depth, _ = sense(z_mm, is_hand, intrinsics.fx_px, _draw_sensor(kind, random))
    frame = DepthFrame(depth, DEPTH_UNIT_MM, intrinsics, 0, 0, TimestampSource.RECORDING)
    return KindFrame(kind_name, frame, tuple(_label(frame, *hand, is_left) for hand in hands))


def mirror(z_mm: Float32, is_hand: Bool, intrinsics: Intrinsics) -> tuple[Float32, Bool, Intrinsics]:
    """The image of the world with x negated; a camera with its lens the other way round sees it."""
    turned = replace(intrinsics, cx_px=intrinsics.width_px - 1 - intrinsics.cx_px)
    return np.ascontiguousarray(z_mm[:, ::-1]), np.ascontiguousarray(is_hand[:, ::-1]), turned


def _label(frame: DepthFrame, joints_mm: Float64, seen: Bool, is_right: bool, is_left_world: bool) -> LabeledFrame:
    side = np.array([-1.0 if is_left_world else 1.0, 1, 1])
    handedness = Handedness.RIGHT if is_right != is_left_world else Handedness.LEFT
    return LabeledFrame(frame, (joints_mm * side).astype(np.float32), seen, handedness)


def _draw_sensor(kind: HandKind, random: np.random.Generator) -> Sensor:
    sensor = draw_any_sensor(random, DEPTH_UNIT_MM, HEIGHT_PX, WIDTH_PX)
    return replace(sensor, near_salt=kind.near_salt, hole_share=kind.hole_share)


def _about(scene: Scene) -> Bool:
    """Where in the image (480, 640) the hand is, its arm not."""
    u, v = project(np, scene.joints_mm, scene.intrinsics).T
    spare = ABOUT_MM * scene.intrinsics.fx_px / float(scene.joints_mm[:, 2].min())
    rows, columns = np.arange(HEIGHT_PX)[:, None], np.arange(WIDTH_PX)
    inside: Bool = (
        (rows > v.min() - spare) & (rows < v.max() + spare) & (columns > u.min() - spare) & (columns < u.max() + spare)
    )
    return inside


def _with_other_hand(scene: Scene, draw_shape: DrawShape, random: np.random.Generator) -> Staged:
    asset = load_hand_asset()
    shape = draw_shape(asset, random)
    _, hand = sample_pose(asset, shape.anchors_mm, random)
    rotation = uniform_rotation(random)
    is_right = random.uniform() >= OTHER_SIDE_SHARE
    side = np.array([1.0 if is_right else -1.0, 1, 1])
    turned = hand.joints_mm @ rotation.T
    offset = center_of(scene.joints_mm) + _away(70, 140, random) - center_of(turned * side)
    xyz = skin_of(asset, shape, hand, rotation, turned[0]) * side + offset
    triangles = asset.triangles if is_right else np.ascontiguousarray(asset.triangles[:, ::-1])
    mesh = Mesh(xyz.astype(np.float32), triangles)
    return Staged(replace(scene, company=(mesh,)), turned * side + offset, is_right)


def _with_thing(scene: Scene, random: np.random.Generator) -> Staged:
    at = center_of(scene.joints_mm) + _away(30, 110, random)
    rotation = uniform_rotation(random)
    meshes = tuple(moved(mesh, rotation, at) for mesh in make_thing(random))
    return Staged(replace(scene, company=meshes), None, False)


def _away(nearest_mm: float, farthest_mm: float, random: np.random.Generator) -> Float64:
    direction = random.normal(size=3)
    away: Float64 = direction / np.linalg.norm(direction) * random.uniform(nearest_mm, farthest_mm)
    return away


def _is_in_sight(asset: HandAsset, staged: Staged) -> bool:
    """Whether enough of the hand is seen beside its company, and some of that too; judged on every fourth pixel each way."""
    scene = staged.scene
    if min(float(mesh.xyz_mm[:, 2].min()) for mesh in scene.company) < MIN_JOINT_MM:
        return False
    intrinsics = (
        np.array([scene.intrinsics.fx_px, scene.intrinsics.fy_px, scene.intrinsics.cx_px, scene.intrinsics.cy_px]) / 4
    )
    about = _about(scene)[::4, ::4]
    alone, z_mm = np.zeros((2, HEIGHT_PX // 4, WIDTH_PX // 4), np.float32)
    is_hand, is_shown = np.zeros((2, *z_mm.shape), np.bool_)
    draw_mesh(alone, is_hand, scene.skin_mm, asset.triangles, intrinsics)
    for mesh in scene.company:
        draw_mesh(z_mm, np.zeros_like(is_shown), mesh.xyz_mm, mesh.triangles, intrinsics)
    draw_mesh(z_mm, is_shown, scene.skin_mm, asset.triangles, intrinsics)
    whole = int((is_hand & about).sum())
    return int((is_shown & about).sum()) >= SEEN_SHARE * whole and int(((z_mm > 0) & ~is_shown).sum()) >= 0.1 * whole
