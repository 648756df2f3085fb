"""The hands in space: capsules in two colors, the points that were measured on them, the camera and the ground."""

import math
from typing import Any, Final

import numpy as np
import viser

from handmap.protocol.fields import MAX_HANDS
from handmap.protocol.preview import Picture
from handmap.types.arrays import Float32, Uint8
from handmap.types.joints import BONES, JOINT_COUNT

from ..capsules import Mesh, unit_cylinder, unit_sphere
from .hand_cloud import hand_cloud
from .scene import DrawnHand

FAR_AWAY_M: Final = 1000.0  # where the joints of a hidden hand are parked
NO_POINTS: Final = np.full((1, 3), FAR_AWAY_M, np.float32), np.zeros((1, 3), np.uint8)  # the page complains of none
POINT_M: Final = 0.0015
GROUND_M: Final = 0.3  # below the camera
FRUSTUM_M: Final = 0.05
CAMERA_M, LOOK_AT_M = (0.42, -0.30, -0.12), (0.0, 0.03, 0.36)
PHONE_DOWN_M: Final = 0.14  # how much lower the view is on a phone, whose panel covers the lower part
DEFAULT_FOV, DEFAULT_ASPECT = 1.0, 4 / 3  # until a picture tells
CAMERA_GRAY: Final = (120, 120, 130)


class Space:
    """The scene of a page."""

    def __init__(self, server: viser.ViserServer) -> None:
        self._server = server
        scene = server.scene
        scene.set_up_direction("-y")  # the camera's y points down
        server.initial_camera.position, server.initial_camera.look_at = CAMERA_M, LOOK_AT_M
        server.initial_camera.fov = 0.9  # radians: a hand at half a meter and the camera both fill the page
        server.on_client_connect(_raise_hands)
        self._frustum = scene.add_camera_frustum(
            "/camera", DEFAULT_FOV, DEFAULT_ASPECT, scale=FRUSTUM_M, thickness=0.0015, color=CAMERA_GRAY
        )
        scene.add_frame("/camera/axes", axes_length=0.03, axes_radius=0.001)
        scene.add_label("/camera/label", "depth camera")
        scene.add_grid(
            "/ground", 1.2, 1.2, plane="xz", cell_size=0.1, section_size=0.5, position=(0.0, GROUND_M, 0.5),
            cell_color=(150, 150, 155), section_color=(120, 120, 125), cell_thickness=0.6, section_thickness=1.0,
        )  # fmt: skip
        self._points = scene.add_point_cloud(
            "/points", *NO_POINTS, point_size=POINT_M, point_shape="circle",
            point_shading="flat", precision="float32",
        )  # fmt: skip
        self._hands = [_Hand(server, f"/hand_{index}") for index in range(MAX_HANDS)]
        self._lens: tuple[float, float] | None = None

    def show_hands(self, shapes: list[DrawnHand]) -> None:
        """Moves the hands to where they are, and hides the others."""
        with self._server.atomic():  # so that no browser shows bones of one frame at joints of another
            for index, hand in enumerate(self._hands):
                hand.show(shapes[index] if index < len(shapes) else None)

    def show_picture(self, picture: Picture, depth_mm: Float32) -> None:
        """Shows the measured points of the hands in this depth (H, W), mm, and the camera as it sees."""
        points, colors = hand_cloud(picture, depth_mm)
        self._show_points(points, colors) if len(points) else self.hide_points()
        lens = 2 * math.atan(picture.height_px / 2 / picture.fy_px), picture.width_px / picture.height_px
        if lens != self._lens:
            self._lens = self._frustum.fov, self._frustum.aspect = lens

    def hide_points(self) -> None:
        """Shows no measured points."""
        self._show_points(*NO_POINTS)

    def _show_points(self, points: Float32, colors: Uint8) -> None:
        with self._server.atomic():
            self._points.points, self._points.colors = points, colors


class _Hand:
    """The joints and bones of one hand, two nodes of the scene: created once, then moved."""

    def __init__(self, server: viser.ViserServer, name: str) -> None:
        self._is_shown = True
        self._joints = _copies(server, f"{name}/joints", unit_sphere(), JOINT_COUNT)
        self._bones = _copies(server, f"{name}/bones", unit_cylinder(), len(BONES))
        self.show(None)

    def show(self, shape: DrawnHand | None) -> None:
        """Moves the hand there, or hides it."""
        if shape is not None:
            self._joints.batched_positions = shape.joints_m
            self._joints.batched_scales = np.repeat(shape.capsules.joint_radii_m[:, None], 3, axis=1)
            self._joints.batched_colors = shape.colors
            self._bones.batched_positions = shape.capsules.centers_m
            self._bones.batched_wxyzs = shape.capsules.wxyz
            self._bones.batched_scales = shape.capsules.scales_m
            self._bones.batched_colors = shape.capsule_colors
        if (shape is not None) is not self._is_shown:
            self._is_shown = shape is not None
            self._joints.visible = self._bones.visible = self._is_shown


def _raise_hands(client: viser.ClientHandle) -> None:
    """Has a phone show the hands above its panel."""
    if client.camera.aspect < 1:
        down_m = np.array([0.0, PHONE_DOWN_M, 0.0])
        with client.atomic():
            client.camera.position = np.array(CAMERA_M) + down_m
            client.camera.look_at = np.array(LOOK_AT_M) + down_m


def _copies(server: viser.ViserServer, name: str, mesh: Mesh, count: int) -> Any:
    """One node with so many copies of a mesh of size 1, out of sight until they are placed."""
    upright = np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1))
    nowhere = np.full((count, 3), FAR_AWAY_M, np.float32)
    small = np.full((count, 3), 1e-3, np.float32)
    gray = np.full((count, 3), 128, np.uint8)
    return server.scene.add_batched_meshes_simple(
        name, *mesh, upright, nowhere, batched_scales=small, batched_colors=gray, lod="off"
    )
