"""Where things stand before the camera: a hand with its forearm and what that wears, and what else is about.

`draw_scene` decides, `render_scene` draws what one window of the image sees of it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from handmap.types.arrays import Bool, Float32, Float64
from handmap.types.intrinsics import Intrinsics

from ..hand.hand_model import ELBOW, FOREARM, HandAsset, HandShape, PosedHand
from ..hand.rotations import edge_on_rotation, pointing_away_rotation, uniform_rotation, upright_rotation
from .placement import Placement
from .render import draw_ellipsoid, draw_mesh, draw_plane, skin
from .solids import Mesh, moved
from .surroundings import Ellipsoid, Plane, draw_body_beside, draw_company, draw_plane_behind
from .worn import draw_clothes

WIDTH_PX, HEIGHT_PX = 640, 480
FOCALS_PX = (385.0, 475.0, 610.0)
FLESH_MM = 14.0  # from a joint to the skin around it
MIN_JOINT_MM = 130.0  # nearer than this neither joint nor forearm may come
PLACE_ATTEMPTS = 12
WHOLE_HAND, HALF_OR_MORE, CUT_HAND = range(21, 22), range(11, 22), range(11, 21)  # joints that lie in the image
COMPANY_ATTEMPTS = 10
COMPANY_SEEN = 0.5  # of the hand must stay in sight beside company
MIN_COMPANY = 0.05  # of the hand's size is what company must show inside CUBE_MM
CUBE_MM = 250.0
SIGHT_PX = 8  # pixels of the image that one spans where that is counted


@dataclass(frozen=True)
class PixelWindow:
    """Pixels [left, left + width) x [top, top + height) of the image."""

    left: int
    top: int
    width: int
    height: int


FULL_IMAGE = PixelWindow(0, 0, WIDTH_PX, HEIGHT_PX)


@dataclass(frozen=True)
class Scene:
    """Everything that can be seen: skin (V, 3) of the hand, its joints_mm (21, 3), both in the camera frame, and clutter.

    What the forearm has `worn` counts as forearm, `company` does not.
    """

    intrinsics: Intrinsics
    skin_mm: Float32
    joints_mm: Float64
    ellipsoid: Ellipsoid | None
    plane: Plane | None
    worn: tuple[Mesh, ...] = ()
    company: tuple[Mesh, ...] = ()


def center_of(joints_mm: Float64) -> Float64:
    """Middle (3,) of the joints' bounding box: where the hand cube is centered."""
    middle: Float64 = (joints_mm.min(axis=0) + joints_mm.max(axis=0)) / 2
    return middle


def draw_scene(
    asset: HandAsset, shape: HandShape, hand: PosedHand, placement: Placement, random: np.random.Generator
) -> Scene:
    """A random camera in front of this hand, all of which is in the image except in a border_share of placements."""
    intrinsics = draw_lens(random)
    inside = CUT_HAND if random.uniform() < placement.border_share else WHOLE_HAND
    turn = _draw_view(placement, random)
    while True:
        rotation = turn(random)
        turned = hand.joints_mm @ rotation.T
        joints = turned - center_of(turned)
        joints += _place_at(joints, intrinsics, inside, _draw_depth_mm(placement, random), random)
        arm = rotation @ (hand.rotations[FOREARM] @ shape.anchors_mm[ELBOW])
        if _distance_to_camera_mm(joints[0], arm) >= MIN_JOINT_MM:  # no camera is inside an arm
            break
    shape, clothes = draw_clothes(shape, placement.cut_share, placement.sleeve_share, placement.watch_share, random)
    skin_mm = skin_of(asset, shape, hand, rotation, joints[0])
    arm_offset = hand.offsets_mm[FOREARM] @ rotation.T + joints[0]
    worn = tuple(moved(mesh, rotation @ hand.rotations[FOREARM], arm_offset) for mesh in clothes)
    kind = random.uniform()
    plane = draw_plane_behind(joints, random) if kind < 0.15 else None
    ellipsoid = draw_body_beside(joints, center_of(joints), random) if 0.15 <= kind < 0.30 else None
    scene = Scene(intrinsics, skin_mm, joints, ellipsoid, plane, worn)
    is_accompanied = placement.company_share > 0 and random.uniform() < placement.company_share
    return _with_company(asset, scene, random) if is_accompanied else scene


def skin_of(asset: HandAsset, shape: HandShape, hand: PosedHand, rotation: Float64, wrist_mm: Float64) -> Float32:
    """Skin (V, 3) in the camera frame of a hand turned by rotation (3, 3), its wrist joint at wrist_mm."""
    rotations = np.matmul(rotation, hand.rotations)
    offsets = hand.offsets_mm @ rotation.T + wrist_mm
    return skin(shape.vertices_mm, asset.weight_bones, asset.weights, rotations, offsets)


def render_scene(asset: HandAsset, scene: Scene, window: PixelWindow) -> tuple[Float32, Bool]:
    """The z-buffer of a window, (H, W) mm with 0 for nothing, and where it shows hand or forearm."""
    z_mm = np.zeros((window.height, window.width), np.float32)
    is_hand = np.zeros((window.height, window.width), np.bool_)
    intrinsics = np.array(
        [
            scene.intrinsics.fx_px,
            scene.intrinsics.fy_px,
            scene.intrinsics.cx_px - window.left,
            scene.intrinsics.cy_px - window.top,
        ]
    )
    for mesh in scene.company:  # before the hand, which marks what it then covers
        draw_mesh(z_mm, np.empty_like(is_hand), mesh.xyz_mm, mesh.triangles, intrinsics)
    draw_mesh(z_mm, is_hand, scene.skin_mm, asset.triangles, intrinsics)
    for mesh in scene.worn:
        draw_mesh(z_mm, is_hand, mesh.xyz_mm, mesh.triangles, intrinsics)
    if scene.ellipsoid is not None:
        draw_ellipsoid(z_mm, is_hand, scene.ellipsoid.center_mm, scene.ellipsoid.radii_mm, intrinsics)
    if scene.plane is not None:
        draw_plane(z_mm, is_hand, scene.plane.normal, scene.plane.distance_mm, intrinsics)
    return z_mm, is_hand


def draw_lens(random: np.random.Generator) -> Intrinsics:
    """One of three usual focal lengths give or take 5 %, the center near the image's."""
    focal = FOCALS_PX[int(random.integers(len(FOCALS_PX)))] * random.uniform(0.95, 1.05)
    aspect, cx, cy = random.uniform((0.995, 308, 230), (1.005, 332, 250))
    return Intrinsics(WIDTH_PX, HEIGHT_PX, focal, focal * aspect, cx, cy)


def place_hand(
    joints_mm: Float64,
    intrinsics: Intrinsics,
    at_border: bool,
    random: np.random.Generator,
    range_mm: tuple[float, float],
) -> Float64:
    """Where the hand's center (3,) goes so that all joints, flesh included, are in the image, or half of them at_border.

    Its depth is in range_mm, or farther off where no place was found there.
    """
    z_mm = random.uniform(*range_mm)
    return _place_at(joints_mm, intrinsics, HALF_OR_MORE if at_border else WHOLE_HAND, z_mm, random)


def _place_at(
    joints_mm: Float64, intrinsics: Intrinsics, wanted: range, z_mm: float, random: np.random.Generator
) -> Float64:
    """Where the hand's center (3,) goes so that a wanted number of joints is in the image, at z_mm or farther off."""
    z_mm = max(z_mm, MIN_JOINT_MM - float(joints_mm[:, 2].min()))
    while True:
        for _ in range(PLACE_ATTEMPTS):
            u, v = random.uniform((0, 0), (WIDTH_PX, HEIGHT_PX))
            center = (
                np.array([(u - intrinsics.cx_px) / intrinsics.fx_px, (v - intrinsics.cy_px) / intrinsics.fy_px, 1.0])
                * z_mm
            )
            if _joints_inside(joints_mm + center, intrinsics) in wanted:
                return center
        z_mm *= 1.08


def _draw_depth_mm(placement: Placement, random: np.random.Generator) -> float:
    nearest, farthest = placement.nearest_mm, placement.farthest_mm
    if placement.is_log_depth:
        return math.exp(random.uniform(math.log(nearest), math.log(farthest)))
    return random.uniform(nearest, farthest)


def _draw_view(placement: Placement, random: np.random.Generator) -> Callable[[np.random.Generator], Float64]:
    """What draws the rotation of the hand."""
    edge_on, pointing = placement.edge_on_share, placement.pointing_away_share
    if edge_on + pointing > 0:
        kind = random.uniform()
        if kind < edge_on:
            return edge_on_rotation
        if kind < edge_on + pointing:
            return pointing_away_rotation
    return upright_rotation if random.uniform() < 0.5 else uniform_rotation


def _with_company(asset: HandAsset, scene: Scene, random: np.random.Generator) -> Scene:
    """The scene with something in sight in the hand's cube that leaves COMPANY_SEEN of the hand; without if none was found."""
    alone, _ = _in_sight(asset, scene)
    for _ in range(COMPANY_ATTEMPTS):
        mesh = draw_company(asset, scene.joints_mm, center_of(scene.joints_mm), uniform_rotation(random), random)
        joined = replace(scene, company=(mesh,))
        hand, company = _in_sight(asset, joined)
        is_beyond_camera = mesh.xyz_mm[:, 2].min() > MIN_JOINT_MM
        if is_beyond_camera and hand >= COMPANY_SEEN * alone and company >= MIN_COMPANY * alone:
            return joined
    return scene


def _in_sight(asset: HandAsset, scene: Scene) -> tuple[int, int]:
    """How many coarse pixels about the joints show the hand, and how many its company."""
    intrinsics = scene.intrinsics
    coarse = np.array([intrinsics.fx_px, intrinsics.fy_px, intrinsics.cx_px, intrinsics.cy_px]) / SIGHT_PX
    z_mm = np.zeros((HEIGHT_PX // SIGHT_PX, WIDTH_PX // SIGHT_PX), np.float32)
    is_hand = np.zeros(z_mm.shape, np.bool_)
    for mesh in scene.company:
        draw_mesh(z_mm, np.empty_like(is_hand), mesh.xyz_mm, mesh.triangles, coarse)
    draw_mesh(z_mm, is_hand, scene.skin_mm, asset.triangles, coarse)
    rows, columns = np.nonzero(z_mm)
    z = z_mm[rows, columns]
    rays = np.stack([(columns - coarse[2]) / coarse[0], (rows - coarse[3]) / coarse[1], np.ones(len(z))], axis=1)
    away = np.abs(rays * z[:, None] - center_of(scene.joints_mm))
    half = (scene.joints_mm.max(axis=0) - scene.joints_mm.min(axis=0)) / 2
    is_about, is_hand_there = (away < half + FLESH_MM).all(axis=1), is_hand[rows, columns]
    is_in_cube = (away < CUBE_MM / 2).all(axis=1)
    return int((is_about & is_hand_there).sum()), int((is_in_cube & ~is_hand_there).sum())


def _distance_to_camera_mm(start_mm: Float64, along_mm: Float64) -> float:
    """How near the stretch from start_mm to start_mm + along_mm comes to the camera."""
    share = min(max(-float(start_mm @ along_mm) / float(along_mm @ along_mm), 0.0), 1.0)
    return float(np.linalg.norm(start_mm + share * along_mm))


def _joints_inside(joints_mm: Float64, intrinsics: Intrinsics) -> int:
    """How many of the joints (21, 3) lie in the image with FLESH_MM to spare."""
    z = joints_mm[:, 2]
    u = joints_mm[:, 0] / z * intrinsics.fx_px + intrinsics.cx_px
    v = joints_mm[:, 1] / z * intrinsics.fy_px + intrinsics.cy_px
    spare = FLESH_MM / z * intrinsics.fx_px
    inside = (u > spare) & (u < WIDTH_PX - spare) & (v > spare) & (v < HEIGHT_PX - spare)
    return int(inside.sum())
