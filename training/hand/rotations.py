"""Rotations (3, 3) in the camera frame, and random ones for each way that a hand is seen."""

import math

import numpy as np

from handmap.types.arrays import Float64


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


def edge_on_rotation(random: np.random.Generator) -> Float64:
    """The hand's edge to the camera, thumb or little finger first, give or take 10 degrees; turned anyhow in the image."""
    side = 90 if random.uniform() < 0.5 else -90
    yaw, pitch = np.radians(random.normal((side, 0), 10))
    return turn_z(random.uniform(0, 2 * math.pi)) @ turn_x(pitch) @ turn_y(yaw)


def pointing_away_rotation(random: np.random.Generator) -> Float64:
    """The fingers away from the camera, 8 to 38 degrees off its axis; turned anyhow about it. Straighter on, the arm hides all."""
    side = 1 if random.uniform() < 0.5 else -1
    pitch = math.radians(-90 + side * random.uniform(8, 38))
    return turn_z(random.uniform(0, 2 * math.pi)) @ turn_x(pitch) @ turn_y(random.uniform(0, 2 * math.pi))


def _unit(vector: Float64) -> Float64:
    unit: Float64 = vector / np.linalg.norm(vector)
    return unit
