"""People without hands: torso, head, arms whose hands are in pockets, behind the back or out of reach, legs and feet.

Frame of a body: origin between the shoulders, x to its left, y down, z to its back; mm. So one that is not turned faces the camera.
"""

from dataclasses import dataclass

import numpy as np

from handmap.types.arrays import Float32, Float64

from ..hand.rotations import turn_x, turn_y, turn_z
from .limbs import bent, elbow_of, straight, tube
from .render import draw_mesh
from .solids import Mesh, ball, cylinder, moved

UPPER_ARM_MM, FOREARM_MM = 290.0, 255.0  # shoulder to elbow to wrist of a grown person
THIGH_MM, SHIN_MM = 430.0, 420.0
SIZES = (0.72, 1.12)  # from a child to a tall man
# Where a wrist of the left arm can be so that the body hides the hand: in a pocket, behind the back, under the other arm,
# behind the head.
HIDDEN_WRISTS_MM = np.array([[135, 470, -25], [-30, 400, 165], [-120, 215, -40], [15, -215, 105]], np.float64)


@dataclass(frozen=True)
class Person:
    """Meshes in the body's frame, where its parts are, by name, (3,) mm, and the wrists (2, 3) of arms that end in nothing."""

    meshes: tuple[Mesh, ...]
    spots_mm: dict[str, Float64]
    bare_wrists_mm: Float64


@dataclass(frozen=True)
class Build:
    """What one person's parts share: scale, girth on top of it, depth of the folds of what it wears in mm."""

    size: float
    girth: float
    fold_mm: float


def draw_build(random: np.random.Generator) -> Build:
    """A child or a grown person, thin or stout, in thin cloth or a thick coat."""
    fold_mm = random.uniform(0, 9) if random.uniform() < 0.75 else random.uniform(9, 22)
    return Build(random.uniform(*SIZES), random.uniform(0.85, 1.2), fold_mm)


def make_body(build: Build, free_arms: float, random: np.random.Generator) -> Person:
    """A person whose arms, with probability free_arms each, reach anywhere and end at the wrist, else hide their hands."""
    shoulders = np.array([[side * random.uniform(162, 188), 30, 0] for side in (1, -1)])
    meshes: list[Mesh] = [_torso(build, random), *_head(build, random)]
    spots = {
        "chest": np.array([random.normal(0, 70), random.uniform(60, 330), -90.0]),
        "head": np.array([0, -190.0, -30]),
    }
    bare = []
    for shoulder in shoulders:
        side = float(np.sign(shoulder[0]))
        is_free = random.uniform() < free_arms
        wrist = _free_wrist(shoulder, random) if is_free else _hidden_wrist(side, random)
        outwards = np.array([side * random.uniform(0.2, 1), random.uniform(-0.2, 1), random.normal(0, 0.5)])
        elbow = elbow_of(shoulder, wrist, (UPPER_ARM_MM, FOREARM_MM), outwards)
        meshes += _arm(np.stack([shoulder, elbow, wrist]), build, random)
        bare += [wrist] if is_free else []
        if side > 0:
            spots |= {
                "shoulder": shoulder,
                "upper_arm": shoulder + random.uniform(0.3, 0.8) * (elbow - shoulder),
                "elbow": elbow,
            }
        knee, foot, leg = _leg(side, build, random)
        meshes += leg
        spots |= {"knee": knee, "foot": foot}
    wrists = np.array(bare).reshape(-1, 3)
    scaled = tuple(Mesh((mesh.xyz_mm * np.float32(build.size)).astype(np.float32), mesh.triangles) for mesh in meshes)
    return Person(scaled, {name: build.size * spot for name, spot in spots.items()}, build.size * wrists)


def draw_facing(random: np.random.Generator) -> Float64:
    """A rotation (3, 3) of a body: mostly toward the camera, leaning a little, at times seen from above or below."""
    yaw = random.normal(0, 0.8) if random.uniform() < 0.75 else random.uniform(-3.14, 3.14)
    pitch = random.normal(0, 0.2) if random.uniform() < 0.7 else random.uniform(-1.2, 1.2)
    return turn_z(random.normal(0, 0.15)) @ turn_x(pitch) @ turn_y(yaw)


def draw_meshes(
    z_mm: Float32, meshes: tuple[Mesh, ...], rotation: Float64, offset_mm: Float64, intrinsics: Float64
) -> None:
    """Draws meshes, turned and shifted, into a z-buffer; lens as for `draw_mesh`."""
    scratch = np.zeros(z_mm.shape, np.bool_)
    for mesh in meshes:
        placed = moved(mesh, rotation, offset_mm)
        draw_mesh(z_mm, scratch, placed.xyz_mm, placed.triangles, intrinsics)


def draw_person(
    z_mm: Float32, center: Float64, intrinsics: Float64, random: np.random.Generator, spot: str, free_arms: float = 0.5
) -> None:
    """A person with one of its parts at the center."""
    body = make_body(draw_build(random), free_arms, random)
    rotation = draw_facing(random)
    at = rotation @ body.spots_mm[spot] - np.array([*random.normal(0, 22, 2), random.uniform(20, 70)])
    draw_meshes(z_mm, body.meshes, rotation, center - at, intrinsics)


def _torso(build: Build, random: np.random.Generator) -> Mesh:
    heights = np.array([640, 540, 400, 260, 140, 50, -5, -40, -70, -130.0])
    widths = build.girth * np.array([150, 172, 150, 156, 172, 182, 150, 95, 62, 56])
    depths = build.girth * np.array([100, 112, 102, 106, 112, 104, 84, 66, 58, 56])
    path = np.stack([np.zeros(10), heights, np.linspace(0, 15, 10)], axis=1)
    # The line is straight enough for the tube's first axis to be x.
    return tube(path, np.stack([widths, depths], axis=1), build.fold_mm, random)


def _head(build: Build, random: np.random.Generator) -> list[Mesh]:
    """Skull, jaw, nose and ears, perhaps hair or a hat; turned to a side."""
    turn = turn_y(random.normal(0, 0.5)) @ turn_x(random.normal(0, 0.2))
    at = np.array([0, -225.0, -15])
    parts = [
        (ball(np.array([76, 95, 96.0])), (0, -20, 0)),
        (ball(np.array([56, 62, 66.0])), (0, 48, -22)),
        (ball(np.array([12, 24, 20.0])), (0, 16, -92)),
        *((ball(np.array([9, 30, 18.0])), (side * 78, 5, 12)) for side in (1, -1)),
    ]
    kind = random.uniform()
    if kind < 0.45:
        thick = random.uniform(4, 22)
        parts.append((ball(np.array([80 + thick, 92 + thick, 92 + thick])), (0, -32, 22)))
    if kind < 0.2:
        parts.append((ball(np.array([95, random.uniform(120, 220), 60.0])), (0, 90, 60)))
    elif kind > 0.85:
        brim = moved(cylinder(random.uniform(100, 160), 8), turn_x(1.57), np.zeros(3))
        parts += [(brim, (0, -62, -20)), (ball(np.array([88, 70, 104.0])), (0, -78, 0))]
    return [moved(mesh, turn, at + turn @ np.array(offset, np.float64)) for mesh, offset in parts]


def _arm(line_mm: Float64, build: Build, random: np.random.Generator) -> list[Mesh]:
    """Shoulder to wrist (3, 3): skin, and a sleeve over all of it or its upper part; the elbow's bone stands out."""
    path = bent(*line_mm)
    share = np.linspace(0, 1, len(path))
    thick = build.girth * np.interp(share, (0, 0.25, 0.5, 0.62, 1), (62, 50, 41, 45, 28))
    radii = np.stack([thick, thick * np.interp(share, (0, 0.7, 1), (1, 0.92, 0.75))], axis=1)
    outwards = line_mm[1] - (line_mm[0] + line_mm[2]) / 2
    outwards /= max(float(np.linalg.norm(outwards)), 1e-6)
    bone = path[len(path) // 2] + 24 * build.girth * outwards
    elbow = moved(ball(np.full(3, 24.0) * build.girth), np.eye(3), bone)
    meshes = [
        tube(path, radii, 0.0, random),
        elbow,
        moved(ball(np.array([60, 62, 60.0]) * build.girth), np.eye(3), line_mm[0]),
    ]
    length = int(random.choice((0, 6, 9, 14, 15), p=(0.12, 0.2, 0.08, 0.2, 0.4)))  # of 15 points that cloth covers
    if length:
        loose = random.uniform(4, 18) * np.linspace(0.6, 1.3, length)
        meshes.append(tube(path[:length], radii[:length] + loose[:, None], build.fold_mm, random))
    return meshes


def _leg(side: float, build: Build, random: np.random.Generator) -> tuple[Float64, Float64, list[Mesh]]:
    """Knee, foot and meshes of a leg that stands, sits or is laid over the other."""
    hip = np.array([side * 88.0, 560, 0])
    kind = random.uniform()
    if kind < 0.35:
        knee = hip + np.array([random.normal(0, 30), THIGH_MM - 15, random.normal(-20, 40)])
        ankle = knee + np.array([random.normal(0, 20), SHIN_MM, random.uniform(0, 80)])
    else:
        knee = hip + np.array([side * random.uniform(-60, 110), random.uniform(-80, 60), -THIGH_MM])
        is_crossed = kind > 0.85
        sideways, down, back = (-side * 260, 200.0, -60.0) if is_crossed else (random.normal(0, 60), 400.0, 40.0)
        ankle = knee + np.array([sideways, down, back]) + random.normal(0, 25, 3)
    path = bent(hip, knee, ankle)
    share = np.linspace(0, 1, len(path))
    thick = build.girth * np.interp(share, (0, 0.3, 0.5, 0.65, 1), (88, 76, 58, 58, 36))
    loose = random.uniform(0, 22)
    leg = tube(path, np.stack([thick, thick], axis=1) + loose, build.fold_mm, random)
    forwards = np.array([random.normal(0, 0.3), random.uniform(0.0, 0.5), -1.0])
    forwards /= np.linalg.norm(forwards)
    heel = ankle + np.array([0, 45, 0]) - 50 * forwards
    line = straight(heel, heel + random.uniform(200, 250) * forwards)
    flat = np.interp(np.linspace(0, 1, len(line)), (0, 0.25, 0.7, 1), (40, 42, 38, 26))
    foot = tube(line, np.stack([0.7 * flat + 8, 1.05 * flat], axis=1), 0.3 * build.fold_mm, random)
    knee_cap = moved(ball(np.full(3, 50.0) * build.girth + 0.6 * loose), np.eye(3), knee)
    return knee, heel + 130 * forwards, [leg, foot, knee_cap]


def _hidden_wrist(side: float, random: np.random.Generator) -> Float64:
    place = HIDDEN_WRISTS_MM[int(random.choice(len(HIDDEN_WRISTS_MM), p=(0.4, 0.25, 0.25, 0.1)))]
    wrist: Float64 = place * (side, 1, 1) + random.normal(0, 8, 3)
    return wrist


def _free_wrist(shoulder_mm: Float64, random: np.random.Generator) -> Float64:
    """Anywhere in front of, beside, above or below the shoulder, an arm bent or stretched."""
    direction = random.normal(size=3) * (1, 1, 0.8) + (0.6 * np.sign(shoulder_mm[0]), 0, -0.5)
    direction /= np.linalg.norm(direction)
    reach = random.uniform(0.7, 0.98) * (UPPER_ARM_MM + FOREARM_MM)
    wrist: Float64 = shoulder_mm + reach * direction
    return wrist
