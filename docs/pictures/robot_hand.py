"""Draws docs/pictures/robot_hand.webp: the shipped recording, and the plain robot hand that follows it.

`python -m docs.pictures.robot_hand` (about a minute; needs the extras `host` and `robot`). Nothing in it is drawn at random.
`python -m docs.pictures.robot_hand SHEET.png` writes twelve frames of it as one sheet instead.
"""

import math
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from clients.plain_hand import FINGERS as PLAIN_FINGERS
from clients.plain_hand import PALM_M, THUMB
from clients.retarget import Retargeter
from clients.robot_hands import LoadedHand, load_hand
from docs.pictures.tracked_hand import (
    DEPTH_PX,
    EVERY,
    FINGER_RGB,
    FRAME_MS,
    QUALITY,
    SHARPNESS,
    SPACE_RGB,
    TEXT_RGB,
    draw_overlay,
    tracked_frames,
)
from handmap.types.arrays import Bool, Float64

PICTURE = Path(__file__).with_name("robot_hand.webp")
ROBOT_PX = (300, 300)  # width, height of the panel
SHOWN_M = 0.265  # its height
MIDDLE_M = np.array([0.0, 0.012, 0.093])  # what is in its middle, in the frame of the palm
PALM_RGB = np.array((196, 202, 208), np.float64)
LIGHT = np.array([0.85, -0.35, 0.40])  # towards it: x out of the palm, y to the right, z up
AMBIENT = 0.35
SWING = math.radians(38)  # the view swings so far to either side, once in the whole picture
LEAN = math.radians(12)  # and looks down by so much
SHEET_COLUMNS, SHEET_FRAMES = 3, 12


@dataclass
class Panel:
    """An image (H, W, 3) with the distance towards the viewer (H, W), m, that is drawn so far; rows of `view` are right, up, viewer."""

    rgb: Float64
    nearest_m: Float64
    view: Float64
    pixels_m: Float64  # (H, W, 2): right and up of each pixel

    def around(self, places: Float64, radius_m: float) -> "Panel":
        """The part of it that is around places (N, 3) in the frame of the view; painting there paints here."""
        low, high = places[:, :2].min(axis=0) - radius_m, places[:, :2].max(axis=0) + radius_m
        columns = slice(*np.searchsorted(self.pixels_m[0, :, 0], (low[0], high[0])))
        rows = slice(*np.searchsorted(-self.pixels_m[:, 0, 1], (-high[1], -low[1])))
        return Panel(self.rgb[rows, columns], self.nearest_m[rows, columns], self.view, self.pixels_m[rows, columns])

    def paint(self, is_hit: Bool, towards_m: Float64, normals: Float64, rgb: Float64) -> None:
        """Paints what is nearer than all before it; normals (H, W, 3) are in the frame of the view."""
        is_seen = is_hit & (towards_m > self.nearest_m)
        light = self.view @ (LIGHT / np.linalg.norm(LIGHT))
        brightness = AMBIENT + (1 - AMBIENT) * np.clip(normals @ light, 0, None)
        self.rgb[is_seen] = (brightness[..., None] * rgb)[is_seen]
        self.nearest_m[is_seen] = towards_m[is_seen]


def draw_robot(loaded: LoadedHand, angles: dict[str, float], turn: float) -> Image.Image:
    """The robot hand, its palm to the viewer, seen from `turn` radians to the side."""
    width, height = ROBOT_PX[0] * SHARPNESS, ROBOT_PX[1] * SHARPNESS
    right, up = np.meshgrid(np.arange(width) + 0.5 - width / 2, height / 2 - 0.5 - np.arange(height))
    pixels_m = np.stack([right, up], axis=-1) * SHOWN_M / height
    rgb = np.broadcast_to(np.array(SPACE_RGB, np.float64), (height, width, 3)).copy()
    panel = Panel(rgb, np.full((height, width), -np.inf), view_from(turn), pixels_m)
    poses = loaded.urdf.link_poses(angles)
    draw_box(panel, np.array([0, 0.004, PALM_M[2] / 2]), np.array(PALM_M) / 2)
    for finger, color in zip((THUMB, *PLAIN_FINGERS), FINGER_RGB, strict=True):
        chain = next(chain for chain in loaded.hand.finger_chains if chain[0][0].startswith(finger.name))
        places = [poses[link][:3, 3] for _, link in chain]
        for start, end in pairwise(places):
            draw_capsule(panel, start, end, finger.radius_m, np.array(color, np.float64))
    return Image.fromarray(np.clip(panel.rgb, 0, 255).astype(np.uint8))


def view_from(turn: float) -> Float64:
    """The rotation (3, 3) from the palm's frame to right, up and towards the viewer."""
    cos, sin = math.cos(turn), math.sin(turn)
    right, ahead, above = np.array([-sin, cos, 0]), np.array([cos, sin, 0]), np.array([0, 0, 1.0])
    viewer = math.cos(LEAN) * ahead + math.sin(LEAN) * above
    return np.stack([right, np.cross(viewer, right), viewer])


def draw_capsule(panel: Panel, start_m: Float64, end_m: Float64, radius_m: float, rgb: Float64) -> None:
    """A cylinder with round ends: the nearest hit of each pixel's ray with the cylinder and the two spheres."""
    start, end = (panel.view @ (place - MIDDLE_M) for place in (start_m, end_m))
    axis = (end - start) / np.linalg.norm(end - start)
    length_m = float(np.linalg.norm(end - start))
    panel = panel.around(np.stack([start, end]), radius_m)
    for center in (start, end):
        offset = panel.pixels_m - center[:2]
        square = radius_m**2 - (offset**2).sum(axis=-1)
        depth = np.sqrt(np.clip(square, 0, None))
        normals = np.concatenate([offset, depth[..., None]], axis=-1) / radius_m
        panel.paint(square > 0, center[2] + depth, normals, rgb)
    across = float(np.hypot(axis[0], axis[1]))
    if across < 1e-6:
        return
    # The ray through a pixel is start + (offset, t); its distance from the axis line is radius_m at the root of a quadratic in t.
    offset = panel.pixels_m - start[:2]
    along = offset @ axis[:2]
    a, b, c = across**2, -axis[2] * along, (offset**2).sum(axis=-1) - along**2 - radius_m**2
    square = b**2 - a * c
    t = (-b + np.sqrt(np.clip(square, 0, None))) / a
    place = along + t * axis[2]
    hit = np.concatenate([offset, t[..., None]], axis=-1)
    normals = (hit - place[..., None] * axis) / radius_m
    panel.paint((square > 0) & (place > 0) & (place < length_m), start[2] + t, normals, rgb)


def draw_box(panel: Panel, center_m: Float64, half_m: Float64) -> None:
    """The palm, an upright box in the frame of the palm: where each pixel's ray leaves its three slabs first, seen from behind."""
    origin = np.concatenate([panel.pixels_m, np.zeros((*panel.pixels_m.shape[:2], 1))], axis=-1) @ panel.view
    origin = origin + MIDDLE_M - center_m
    ray = panel.view[2]  # towards the viewer, in the palm's frame
    ray = np.where(np.abs(ray) < 1e-9, 1e-9, ray)
    ends, starts = ((sign * np.sign(ray) * half_m - origin) / ray for sign in (1, -1))
    leave, enter = ends.min(axis=-1), starts.max(axis=-1)
    faces = np.eye(3)[ends.argmin(axis=-1)] * np.sign(ray)
    panel.paint(leave > enter, leave, faces @ panel.view.T, PALM_RGB)


def draw_frames() -> list[Image.Image]:
    """Both panels side by side for every second frame of the recording, with words above each."""
    loaded = load_hand("plain", None, None)
    solver = Retargeter(loaded)
    shown = []
    angles = solver.rest
    for number, (frame, poses) in enumerate(tracked_frames()):
        solution = solver.solve((poses[0].xyz_camera_mm / 1000).astype(np.float32)) if poses else None
        angles = angles if solution is None else solution
        if number % EVERY == 0:
            shown.append((frame, poses, dict(zip(solver.names, angles.tolist(), strict=True))))
    images = []
    for number, (frame, poses, joints) in enumerate(shown):
        turn = SWING * math.sin(2 * math.pi * number / len(shown))
        images.append(beside(draw_overlay(frame, poses), draw_robot(loaded, joints, turn)))
    return images


def beside(left: Image.Image, right: Image.Image) -> Image.Image:
    """The two panels with a line of words in each."""
    image = Image.new("RGB", (left.width + right.width, left.height), SPACE_RGB)
    image.paste(left, (0, 0))
    image.paste(right, (left.width, 0))
    brush, font = ImageDraw.Draw(image), ImageFont.load_default(12 * SHARPNESS)
    for words, at_px in (("depth image, joints over it", 10), ("the plain robot hand follows", DEPTH_PX[0] + 10)):
        brush.text((at_px * SHARPNESS, 10 * SHARPNESS), words, TEXT_RGB, font)
    return image.resize((image.width // SHARPNESS, image.height // SHARPNESS), Image.Resampling.LANCZOS)


def write_sheet(images: list[Image.Image], path: Path) -> None:
    """Frames at even distances as one image."""
    chosen = images[:: max(len(images) // SHEET_FRAMES, 1)][:SHEET_FRAMES]
    width, height = chosen[0].size
    sheet = Image.new("RGB", (SHEET_COLUMNS * width, -(-len(chosen) // SHEET_COLUMNS) * height), SPACE_RGB)
    for number, image in enumerate(chosen):
        sheet.paste(image, (number % SHEET_COLUMNS * width, number // SHEET_COLUMNS * height))
    sheet.save(path)


def main(path: Path) -> None:
    """Writes the moving picture, or the sheet."""
    images = draw_frames()
    if path.suffix == ".png":
        write_sheet(images, path)
        return
    images[0].save(path, save_all=True, append_images=images[1:], duration=FRAME_MS, loop=0, quality=QUALITY, method=6)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
