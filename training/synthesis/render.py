"""Draws hands and what surrounds them into a z-buffer at the camera's own resolution.

Pixel centers are at integer coordinates. A z-buffer is (H, W) float32 mm along the camera's z axis, 0 where nothing was
hit, and covers the window of the image whose first pixel is (left, top); `is_hand` (H, W) marks pixels of hand or forearm.
"""

import math

import numpy as np

from handmap.types.arrays import Bool, Float32, Float64

from ..compiled import IntArray, compiled

NEAR_PLANE_MM = 60.0  # triangles that reach nearer than this are left out; no sensor of this kind measures there


@compiled
def skin(vertices: Float32, weight_bones: IntArray, weights: Float32, rotations: Float64, offsets: Float64) -> Float32:
    """Linear blend skinning: vertices (V, 3) moved by four bones each, in the frame that the bone motions lead to."""
    count, influences = weights.shape
    result = np.empty((count, 3), np.float32)
    for i in range(count):
        px, py, pz = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        x = y = z = 0.0
        for j in range(influences):
            w = weights[i, j]
            if w > 0:
                b = weight_bones[i, j]
                r = rotations[b]
                x += w * (r[0, 0] * px + r[0, 1] * py + r[0, 2] * pz + offsets[b, 0])
                y += w * (r[1, 0] * px + r[1, 1] * py + r[1, 2] * pz + offsets[b, 1])
                z += w * (r[2, 0] * px + r[2, 1] * py + r[2, 2] * pz + offsets[b, 2])
        result[i, 0], result[i, 1], result[i, 2] = x, y, z
    return result


@compiled
def cut_forearm(vertices: Float32, elbow_mm: Float64, length_mm: float) -> Float32:
    """Rest vertices (V, 3) with the forearm flattened beyond length_mm from the wrist."""
    result = vertices.copy()
    scale = 1.0 / math.sqrt(elbow_mm[0] ** 2 + elbow_mm[1] ** 2 + elbow_mm[2] ** 2)
    ax, ay, az = elbow_mm[0] * scale, elbow_mm[1] * scale, elbow_mm[2] * scale
    for i in range(len(vertices)):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        beyond = x * ax + y * ay + z * az - length_mm
        if beyond > 0:
            result[i, 0] = x - beyond * ax
            result[i, 1] = y - beyond * ay
            result[i, 2] = z - beyond * az
    return result


@compiled
def draw_mesh(z_mm: Float32, is_hand: Bool, xyz: Float32, triangles: IntArray, intrinsics: Float64) -> None:
    """Draws triangles (T, 3) of vertices xyz (V, 3), camera frame, front sides only; lens is (fx, fy, cx - left, cy - top)."""
    height, width = z_mm.shape
    count = len(xyz)
    u = np.empty(count)
    v = np.empty(count)
    inverse = np.empty(count)
    for i in range(count):
        inverse[i] = 1.0 / xyz[i, 2] if xyz[i, 2] > NEAR_PLANE_MM else 0.0
        u[i] = xyz[i, 0] * inverse[i] * intrinsics[0] + intrinsics[2]
        v[i] = xyz[i, 1] * inverse[i] * intrinsics[1] + intrinsics[3]
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        area = (u[b] - u[a]) * (v[c] - v[a]) - (v[b] - v[a]) * (u[c] - u[a])
        if area >= 0.0 or inverse[a] == 0.0 or inverse[b] == 0.0 or inverse[c] == 0.0:
            continue  # seen from behind, or too near
        left = max(math.ceil(min(u[a], u[b], u[c])), 0)
        right = min(math.floor(max(u[a], u[b], u[c])), width - 1)
        top = max(math.ceil(min(v[a], v[b], v[c])), 0)
        bottom = min(math.floor(max(v[a], v[b], v[c])), height - 1)
        # 1/z is linear over the image, and so is each edge function; both are stepped along the row.
        per_area = 1.0 / area
        va, vb, vc = v[c] - v[b], v[a] - v[c], v[b] - v[a]
        inverse_step = -(va * inverse[a] + vb * inverse[b] + vc * inverse[c]) * per_area
        for row in range(top, bottom + 1):
            wa = (u[c] - u[b]) * (row - v[b]) - va * (left - u[b])
            wb = (u[a] - u[c]) * (row - v[c]) - vb * (left - u[c])
            wc = (u[b] - u[a]) * (row - v[a]) - vc * (left - u[a])
            inverse_z = (wa * inverse[a] + wb * inverse[b] + wc * inverse[c]) * per_area
            for column in range(left, right + 1):
                if wa <= 0.0 and wb <= 0.0 and wc <= 0.0:
                    z = 1.0 / inverse_z
                    if z_mm[row, column] == 0.0 or z < z_mm[row, column]:
                        z_mm[row, column] = z
                        is_hand[row, column] = True
                wa -= va
                wb -= vb
                wc -= vc
                inverse_z += inverse_step


@compiled
def draw_ellipsoid(z_mm: Float32, is_hand: Bool, center_mm: Float64, radii_mm: Float64, intrinsics: Float64) -> None:
    """Draws an ellipsoid with axes along the camera's, all of it beyond NEAR_MM: a torso, a ball, another person's head."""
    top, bottom = _extent(
        center_mm[1], radii_mm[1], center_mm[2], radii_mm[2], intrinsics[1], intrinsics[3], z_mm.shape[0]
    )
    left, right = _extent(
        center_mm[0], radii_mm[0], center_mm[2], radii_mm[2], intrinsics[0], intrinsics[2], z_mm.shape[1]
    )
    for row in range(top, bottom):
        y = (row - intrinsics[3]) / intrinsics[1]
        for column in range(left, right):
            x = (column - intrinsics[2]) / intrinsics[0]
            # |ray * z - center| = 1 in units of the radii: a z^2 - 2 b z + c = 0
            a = (x / radii_mm[0]) ** 2 + (y / radii_mm[1]) ** 2 + (1.0 / radii_mm[2]) ** 2
            b = (
                x * center_mm[0] / radii_mm[0] ** 2
                + y * center_mm[1] / radii_mm[1] ** 2
                + center_mm[2] / radii_mm[2] ** 2
            )
            c = (
                (center_mm[0] / radii_mm[0]) ** 2
                + (center_mm[1] / radii_mm[1]) ** 2
                + (center_mm[2] / radii_mm[2]) ** 2
                - 1.0
            )
            inside = b * b - a * c
            if inside > 0.0:
                z = (b - math.sqrt(inside)) / a
                if z > NEAR_PLANE_MM and (z_mm[row, column] == 0.0 or z < z_mm[row, column]):
                    z_mm[row, column] = z
                    is_hand[row, column] = False


@compiled
def _extent(
    center_mm: float, radius_mm: float, z_mm: float, z_radius_mm: float, focal_px: float, origin_px: float, size_px: int
) -> tuple[int, int]:
    """Pixels [first, end) along one image axis that hold a box around the ellipsoid."""
    near, far = max(z_mm - z_radius_mm, NEAR_PLANE_MM), z_mm + z_radius_mm
    low, high = center_mm - radius_mm, center_mm + radius_mm
    first = math.floor(min(low / near, low / far) * focal_px + origin_px)
    end = math.ceil(max(high / near, high / far) * focal_px + origin_px) + 1
    return min(max(first, 0), size_px), min(max(end, 0), size_px)


@compiled
def draw_plane(z_mm: Float32, is_hand: Bool, normal: Float64, distance_mm: float, intrinsics: Float64) -> None:
    """Draws the plane of points p with normal . p = distance_mm behind everything drawn so far."""
    height, width = z_mm.shape
    for row in range(height):
        y = (row - intrinsics[3]) / intrinsics[1]
        for column in range(width):
            x = (column - intrinsics[2]) / intrinsics[0]
            slope = normal[0] * x + normal[1] * y + normal[2]
            z = distance_mm / slope if slope * distance_mm > 0.0 else 0.0
            if NEAR_PLANE_MM < z < 4000.0 and (z_mm[row, column] == 0.0 or z < z_mm[row, column]):
                z_mm[row, column] = z
                is_hand[row, column] = False
