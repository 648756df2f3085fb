"""A plain robot hand with five fingers and 16 motors, of boxes and cylinders: what `handmap robot` moves out of the box.

`python -m clients.plain_hand` writes clients/data/plain_hand_left.urdf and plain_hand_right.urdf. The root link `palm` has its origin
at the wrist, z along the fingers and x out of the palm. Positive angles bend towards the palm and splay to the thumb's side; the last
joint of each finger but the thumb has no motor and follows the one before. A left hand is a right one with y mirrored.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handmap.files.atomic import write_file

FOLDER = Path(__file__).with_name("data")
SIDES = ("left", "right")
DENSITY_KG_M3 = 1200.0
EFFORT_NM, VELOCITY_RAD_S = 1.0, 6.0
PALM_M = (0.026, 0.082, 0.092)  # x, y, z of the box
DIP_PER_PIP = 0.67
# Lower and upper limits, rad.
SPLAY, FLEXION, PIP, DIP = (-0.35, 0.35), (-0.35, 1.6), (0.0, 1.9), (0.0, 1.3)
THUMB_SPLAY, THUMB_FLEXION, THUMB_MCP, THUMB_IP = (-0.6, 0.6), (-0.5, 1.0), (-0.2, 1.1), (-0.3, 1.5)
THUMB_PLACE_M = (0.008, 0.026, 0.026)
THUMB_Z = np.array([0.44, 0.70, 0.57])  # along the straight thumb
THUMB_Y = np.array([0.74, 0.17, -0.65])  # what its joints bend about


@dataclass(frozen=True)
class Finger:
    """A finger of a right hand: its knuckle (y, z) and the lengths of its three links, m; lean is towards the thumb's side, rad."""

    name: str
    knuckle_m: tuple[float, float]
    lean: float
    lengths_m: tuple[float, float, float]
    radius_m: float


THUMB = Finger("thumb", (0, 0), 0, (0.042, 0.034, 0.028), 0.009)
FINGERS = (
    Finger("index", (0.027, 0.092), 0.14, (0.042, 0.026, 0.024), 0.008),
    Finger("middle", (0.004, 0.096), 0.0, (0.046, 0.030, 0.024), 0.008),
    Finger("ring", (-0.018, 0.091), -0.16, (0.042, 0.028, 0.024), 0.008),
    Finger("little", (-0.037, 0.082), -0.32, (0.034, 0.021, 0.022), 0.007),
)


def plain_hand(side: str) -> str:
    """The URDF of the left or right hand."""
    mirror = 1.0 if side == "right" else -1.0
    size = " ".join(map(str, PALM_M))
    center = f"0 {_number(-0.004 * mirror)} {PALM_M[2] / 2}"
    mass_kg = DENSITY_KG_M3 * math.prod(PALM_M)
    squares = np.square(PALM_M)
    parts = [
        _link(
            "palm",
            f'<box size="{size}"/>',
            center,
            mass_kg,
            [mass_kg / 12 * float(squares.sum() - square) for square in squares],
        )
    ]
    for finger in FINGERS:
        parts += _finger(finger, mirror)
    parts += _thumb(mirror)
    body = "\n".join(parts)
    return f'<?xml version="1.0"?>\n<!-- Written by python -m clients.plain_hand. -->\n<robot name="plain_hand_{side}">\n{body}\n</robot>\n'


def _finger(finger: Finger, mirror: float) -> list[str]:
    y, z = finger.knuckle_m
    name, splay_axis = finger.name, f"{_number(-mirror)} 0 0"
    first, second, third = finger.lengths_m
    place = f'xyz="0 {_number(y * mirror)} {z}" rpy="{_number(-finger.lean * mirror)} 0 0"'
    follows = f'<mimic joint="{name}_pip_flexion" multiplier="{DIP_PER_PIP}" offset="0"/>'
    return [
        _joint(f"{name}_mcp_splay", "palm", f"{name}_knuckle", place, splay_axis, SPLAY),
        _knuckle(f"{name}_knuckle", finger.radius_m),
        _joint(f"{name}_mcp_flexion", f"{name}_knuckle", f"{name}_proximal", 'xyz="0 0 0"', "0 1 0", FLEXION),
        _segment(f"{name}_proximal", first, finger.radius_m),
        _joint(f"{name}_pip_flexion", f"{name}_proximal", f"{name}_middle", f'xyz="0 0 {first}"', "0 1 0", PIP),
        _segment(f"{name}_middle", second, finger.radius_m),
        _joint(f"{name}_dip_flexion", f"{name}_middle", f"{name}_distal", f'xyz="0 0 {second}"', "0 1 0", DIP, follows),
        _segment(f"{name}_distal", third, finger.radius_m),
        _tip(name, third),
    ]


def _thumb(mirror: float) -> list[str]:
    name, splay_axis = THUMB.name, f"{_number(-mirror)} 0 0"
    first, second, third = THUMB.lengths_m
    x, y, z = THUMB_PLACE_M
    roll, pitch, yaw = _thumb_rpy()
    turn = " ".join(_number(angle) for angle in (roll * mirror, pitch, yaw * mirror))
    place = f'xyz="{x} {_number(y * mirror)} {z}" rpy="{turn}"'
    return [
        _joint(f"{name}_cmc_splay", "palm", f"{name}_base", place, splay_axis, THUMB_SPLAY),
        _knuckle(f"{name}_base", THUMB.radius_m),
        _joint(f"{name}_cmc_flexion", f"{name}_base", f"{name}_metacarpal", 'xyz="0 0 0"', "0 1 0", THUMB_FLEXION),
        _segment(f"{name}_metacarpal", first, THUMB.radius_m),
        _joint(
            f"{name}_mcp_flexion", f"{name}_metacarpal", f"{name}_proximal", f'xyz="0 0 {first}"', "0 1 0", THUMB_MCP
        ),
        _segment(f"{name}_proximal", second, THUMB.radius_m),
        _joint(f"{name}_ip_flexion", f"{name}_proximal", f"{name}_distal", f'xyz="0 0 {second}"', "0 1 0", THUMB_IP),
        _segment(f"{name}_distal", third, THUMB.radius_m),
        _tip(name, third),
    ]


def _thumb_rpy() -> tuple[float, float, float]:
    """Roll, pitch and yaw, rad, of the right thumb's base in the palm."""
    z = THUMB_Z / np.linalg.norm(THUMB_Z)
    y = THUMB_Y - z * (z @ THUMB_Y)
    y = y / np.linalg.norm(y)
    x = np.cross(y, z)
    return math.atan2(y[2], z[2]), math.asin(-x[2]), math.atan2(x[1], x[0])


def _joint(
    name: str, parent: str, child: str, origin: str, axis: str, limits: tuple[float, float], mimic: str = ""
) -> str:
    low, high = limits
    return (
        f'  <joint name="{name}" type="revolute">\n    <origin {origin}/>\n    <parent link="{parent}"/>\n    <child link="{child}"/>\n'
        f'    <axis xyz="{axis}"/>\n    <limit lower="{low}" upper="{high}" effort="{EFFORT_NM}" velocity="{VELOCITY_RAD_S}"/>\n'
        + (f"    {mimic}\n" if mimic else "")
        + "  </joint>"
    )


def _tip(finger: str, length_m: float) -> str:
    return (
        f'  <joint name="{finger}_tip_joint" type="fixed">\n    <origin xyz="0 0 {length_m}"/>\n    <parent link="{finger}_distal"/>\n'
        f'    <child link="{finger}_tip"/>\n  </joint>\n  <link name="{finger}_tip"/>'
    )


def _segment(name: str, length_m: float, radius_m: float) -> str:
    mass_kg = DENSITY_KG_M3 * math.pi * radius_m**2 * length_m
    across = mass_kg / 12 * (3 * radius_m**2 + length_m**2)
    shape = f'<cylinder radius="{radius_m}" length="{length_m}"/>'
    return _link(name, shape, f"0 0 {_number(length_m / 2)}", mass_kg, (across, across, mass_kg * radius_m**2 / 2))


def _knuckle(name: str, radius_m: float) -> str:
    mass_kg = DENSITY_KG_M3 * math.pi * radius_m**3 * 4 / 3
    return _link(name, f'<sphere radius="{radius_m}"/>', "0 0 0", mass_kg, [mass_kg * radius_m**2 * 2 / 5] * 3)


def _link(name: str, shape: str, center: str, mass_kg: float, inertia: Sequence[float]) -> str:
    """A link of one shape with its mass, and the inertia about its own three axes, kg m^2."""
    at = f'<origin xyz="{center}"/>'
    xx, yy, zz = (f"{value:.3e}" for value in inertia)
    return (
        f'  <link name="{name}">\n    <inertial>{at}<mass value="{mass_kg:.5f}"/>'
        f'<inertia ixx="{xx}" iyy="{yy}" izz="{zz}" ixy="0" ixz="0" iyz="0"/></inertial>\n'
        f"    <visual>{at}<geometry>{shape}</geometry></visual>\n    <collision>{at}<geometry>{shape}</geometry></collision>\n  </link>"
    )


def _number(value: float) -> str:
    return f"{round(value, 6) + 0.0:g}"


def main() -> None:
    """Writes both files."""
    for side in SIDES:
        write_file(FOLDER / f"plain_hand_{side}.urdf", plain_hand(side).encode())


if __name__ == "__main__":
    main()
