"""Where things stand before the camera: a hand with its forearm, at times a plane behind it or a body beside it.

`draw_scene` decides, `render_scene` draws what one window of the image sees of it.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from handmap.arrays import Bool, Float32, Float64
from handmap.intrinsics import Intrinsics

from .hand_model import ELBOW, FOREARM, HandAsset, HandShape, PosedHand
from .render import draw_ellipsoid, draw_mesh, draw_plane, dress_forearm, skin

WIDTH_PX, HEIGHT_PX = 640, 480
FOCALS_PX = (385.0, 475.0, 610.0)
FLESH_MM = 14.0  # from a joint to the skin around it
BALL_RADII_MM = ((25, 25, 25), (90, 90, 90))
TORSO_RADII_MM = ((120, 180, 80), (190, 300, 130))
LEAST_JOINT_MM = 130.0  # nearer than this neither joint nor forearm may come
PLACE_ATTEMPTS = 12
NEAREST_MM, FARTHEST_MM = 250.0, 700.0  # where hands are put


@dataclass(frozen=True)
class Window:
    """Pixels [left, left + width) x [top, top + height) of the image."""

    left: int
    top: int
    width: int
    height: int


FULL_WINDOW = Window(0, 0, WIDTH_PX, HEIGHT_PX)


@dataclass(frozen=True)
class Ellipsoid:
    """A body with axes along the camera's."""

    centre_mm: Float64
    radii_mm: Float64


@dataclass(frozen=True)
class Plane:
    """Points p with normal . p = distance_mm, camera frame."""

    normal: Float64
    distance_mm: float


@dataclass(frozen=True)
class Placement:
    """How scenes are drawn: shares of hands cut by the image border, and of forearms cut short or in a sleeve."""

    border_share: float
    cut_share: float
    sleeve_share: float


TRAINING = Placement(border_share=0.08, cut_share=0.25, sleeve_share=0.12)
WHOLE = Placement(border_share=0.0, cut_share=0.0, sleeve_share=0.0)


@dataclass(frozen=True)
class Scene:
    """Everything that can be seen: skin (V, 3) of the hand, its joints_mm (21, 3), both in the camera frame, and clutter."""

    lens: Intrinsics
    skin_mm: Float32
    joints_mm: Float64
    ellipsoid: Ellipsoid | None
    plane: Plane | None


def centre_of(joints_mm: Float64) -> Float64:
    """Middle (3,) of the joints' bounding box: where the hand cube is centred."""
    middle: Float64 = (joints_mm.min(axis=0) + joints_mm.max(axis=0)) / 2
    return middle


def draw_scene(
    asset: HandAsset, shape: HandShape, hand: PosedHand, placement: Placement, random: np.random.Generator
) -> Scene:
    """A random camera before this hand, which lies wholly inside the image but for the placement's border_share."""
    lens = draw_lens(random)
    at_border = random.uniform() < placement.border_share
    upright = random.uniform() < 0.5
    while True:
        rotation = upright_rotation(random) if upright else uniform_rotation(random)
        turned = hand.joints_mm @ rotation.T
        joints = turned - centre_of(turned)
        joints += place_hand(joints, lens, at_border, random)
        arm = rotation @ (hand.rotations[FOREARM] @ shape.anchors_mm[ELBOW])
        if _distance_to_camera_mm(joints[0], arm) >= LEAST_JOINT_MM:  # no camera is inside an arm
            break
    shape = replace(shape, vertices_mm=_dress(shape, placement, random))
    skin_mm = skin_of(asset, shape, hand, rotation, joints[0])
    kind = random.uniform()
    plane = _plane_behind(joints, random) if kind < 0.15 else None
    ellipsoid = _body_beside(joints, random) if 0.15 <= kind < 0.30 else None
    return Scene(lens, skin_mm, joints, ellipsoid, plane)


def skin_of(asset: HandAsset, shape: HandShape, hand: PosedHand, rotation: Float64, wrist_mm: Float64) -> Float32:
    """Skin (V, 3) in the camera frame of a hand turned by rotation (3, 3), its wrist joint at wrist_mm."""
    rotations = np.matmul(rotation, hand.rotations)
    offsets = hand.offsets_mm @ rotation.T + wrist_mm
    return skin(shape.vertices_mm, asset.weight_bones, asset.weights, rotations, offsets)


def render_scene(asset: HandAsset, scene: Scene, window: Window) -> tuple[Float32, Bool]:
    """The z-buffer of a window, (H, W) mm with 0 for nothing, and where it shows hand or forearm."""
    z_mm = np.zeros((window.height, window.width), np.float32)
    is_hand = np.zeros((window.height, window.width), np.bool_)
    lens = np.array([scene.lens.fx_px, scene.lens.fy_px, scene.lens.cx_px - window.left, scene.lens.cy_px - window.top])
    draw_mesh(z_mm, is_hand, scene.skin_mm, asset.triangles, lens)
    if scene.ellipsoid is not None:
        draw_ellipsoid(z_mm, is_hand, scene.ellipsoid.centre_mm, scene.ellipsoid.radii_mm, lens)
    if scene.plane is not None:
        draw_plane(z_mm, is_hand, scene.plane.normal, scene.plane.distance_mm, lens)
    return z_mm, is_hand


def draw_lens(random: np.random.Generator) -> Intrinsics:
    """One of three usual focal lengths give or take 5 %, the centre near the image's."""
    focal = FOCALS_PX[int(random.integers(len(FOCALS_PX)))] * random.uniform(0.95, 1.05)
    aspect, cx, cy = random.uniform((0.995, 308, 230), (1.005, 332, 250))
    return Intrinsics(WIDTH_PX, HEIGHT_PX, focal, focal * aspect, cx, cy)


def uniform_rotation(random: np.random.Generator) -> Float64:
    """A rotation (3, 3) uniform over SO(3), from a normal quaternion."""
    w, x, y, z = _unit(random.normal(size=4))
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def upright_rotation(random: np.random.Generator) -> Float64:
    """Fingers up with any yaw, tilted to a side and to or from the camera by about 25 degrees."""
    pitch, roll = np.radians(np.clip(random.normal(0, 25, 2), -70, 70))
    yaw = random.uniform(0, 2 * math.pi)
    return turn_z(roll) @ turn_x(pitch) @ turn_y(yaw)


def turn_x(angle: float) -> Float64:
    """Rotation (3, 3) about the x axis by an angle in rad."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def turn_y(angle: float) -> Float64:
    """Rotation (3, 3) about the y axis by an angle in rad."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def turn_z(angle: float) -> Float64:
    """Rotation (3, 3) about the z axis by an angle in rad."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def place_hand(
    joints_mm: Float64,
    lens: Intrinsics,
    at_border: bool,
    random: np.random.Generator,
    farthest_mm: float = FARTHEST_MM,
) -> Float64:
    """Where the hand's centre (3,) goes so that all joints, flesh included, are in the image; farther off if they cannot be."""
    z_mm = max(random.uniform(NEAREST_MM, farthest_mm), LEAST_JOINT_MM - float(joints_mm[:, 2].min()))
    while True:
        for _ in range(PLACE_ATTEMPTS):
            u, v = random.uniform((0, 0), (WIDTH_PX, HEIGHT_PX))
            centre = np.array([(u - lens.cx_px) / lens.fx_px, (v - lens.cy_px) / lens.fy_px, 1.0]) * z_mm
            inside = _joints_inside(joints_mm + centre, lens)
            if inside == len(joints_mm) or (at_border and inside > len(joints_mm) // 2):
                return centre
        z_mm *= 1.08


def _distance_to_camera_mm(start_mm: Float64, along_mm: Float64) -> float:
    """How near the stretch from start_mm to start_mm + along_mm comes to the camera."""
    share = min(max(-float(start_mm @ along_mm) / float(along_mm @ along_mm), 0.0), 1.0)
    return float(np.linalg.norm(start_mm + share * along_mm))


def _joints_inside(joints_mm: Float64, lens: Intrinsics) -> int:
    """How many of the joints (21, 3) lie in the image with FLESH_MM to spare."""
    z = joints_mm[:, 2]
    u = joints_mm[:, 0] / z * lens.fx_px + lens.cx_px
    v = joints_mm[:, 1] / z * lens.fy_px + lens.cy_px
    spare = FLESH_MM / z * lens.fx_px
    inside = (u > spare) & (u < WIDTH_PX - spare) & (v > spare) & (v < HEIGHT_PX - spare)
    return int(inside.sum())


def _dress(shape: HandShape, placement: Placement, random: np.random.Generator) -> Float32:
    """Rest vertices with the forearm cut short or in a sleeve, as the placement's shares ask."""
    cut, sleeve, length, start, width, near = random.uniform((0, 0, 0, 25, 1.08, 0), (1, 1, 1, 120, 1.5, 1))
    short_mm = 5 + 35 * length if near < 0.4 else 40 + 140 * length
    length_mm = short_mm if cut < placement.cut_share else math.inf
    sleeve_mm = start if sleeve < placement.sleeve_share else math.inf
    if math.isinf(length_mm) and math.isinf(sleeve_mm):
        return shape.vertices_mm
    return dress_forearm(shape.vertices_mm, shape.anchors_mm[-1], length_mm, sleeve_mm, width)


def _plane_behind(joints_mm: Float64, random: np.random.Generator) -> Plane:
    """A tilted plane that all joints stand before, by 12 to 260 mm at least."""
    tilt, about = math.radians(random.uniform(0, 45)), random.uniform(0, 2 * math.pi)
    normal = np.array([math.sin(tilt) * math.cos(about), math.sin(tilt) * math.sin(about), math.cos(tilt)])
    gap_mm = 12 + 250 * random.uniform() ** 2
    return Plane(normal, float((joints_mm @ normal).max()) + gap_mm)


def _body_beside(joints_mm: Float64, random: np.random.Generator) -> Ellipsoid:
    """A ball (or something as small and rounded) or a torso whose outline seen from the camera about touches the hand's, nearer to it or as far."""
    centre = centre_of(joints_mm)
    reach = float(np.linalg.norm((joints_mm - centre)[:, :2], axis=1).max())
    low, high = BALL_RADII_MM if random.uniform() < 0.5 else TORSO_RADII_MM
    radii = np.array(low) + (np.array(high) - low) * random.uniform(size=3)
    about = random.uniform(0, 2 * math.pi)
    direction = np.array([math.cos(about), math.sin(about)])
    extent = 1 / math.hypot(direction[0] / radii[0], direction[1] / radii[1])
    beside = direction * (reach * random.uniform(0.75, 1.15) + extent * random.uniform(1.0, 1.15))
    z_mm = max(float(centre[2] + random.uniform(-150, 60)), 160 + float(radii[2]))
    # Shift along the ray, so that the two stay side by side in the image at whatever depth the body stands.
    return Ellipsoid(np.array([*((centre[:2] + beside) * (z_mm / centre[2])), z_mm]), radii)


def _unit(vector: Float64) -> Float64:
    unit: Float64 = vector / np.linalg.norm(vector)
    return unit
