"""Draws docs/pictures/tracked_hand.webp: the shipped recording, what the tracker makes of it, and the joints in 3D.

`python -m docs.pictures.tracked_hand` (about half a minute; needs the extra `host`). Nothing in it is drawn at random: the same
recording and bundle give the same picture.
"""

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from handmap.bundle.manifest import read_bundle
from handmap.engines.factory import open_engines
from handmap.recording.reader import open_recording
from handmap.system.timing import StageClock
from handmap.tracking.tracker import TrackerState, track_hands
from handmap.tracking.tracker_settings import TrackingConfig, tracker_settings
from handmap.types.arrays import Float32, Uint8
from handmap.types.intrinsics import project
from handmap.types.joints import BONES, FINGERS, HAND21
from handmap.types.values import DepthFrame, HandPose

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs/pictures/tracked_hand.webp"
BUNDLE, RECORDING = ROOT / "models/handmap-hand21", ROOT / "models/demo_recording"
EVERY = 2  # frames of the recording, 30 a second, for one of the picture
FRAME_MS = 67
DEPTH_PX, SPACE_PX = (400, 300), (280, 300)  # width, height of the two panels
SHARPNESS = 2  # everything is drawn so much larger, then reduced
QUALITY = 70  # of WebP; 100 is the best
SHOWN_PX = (80, 120, 560, 480)  # left, top, right, bottom of the part of the depth image that is shown
NEAR_MM, FAR_MM = 300.0, 560.0  # the ends of the color scale
SCALE_RGB = np.array([(238, 240, 236), (158, 178, 190), (84, 106, 128), (38, 50, 68), (20, 25, 34)], np.float32)
NOTHING_RGB = (13, 16, 22)  # nothing measured
SPACE_RGB = (20, 25, 34)
FLOOR_RGB = (52, 62, 78)
TEXT_RGB = (176, 188, 200)
FINGER_RGB = ((240, 138, 75), (245, 203, 92), (110, 201, 140), (88, 170, 232), (190, 140, 236))
WRIST_RGB = (235, 235, 235)
SPACE_MM = 230.0  # side of the floor, and the height of what is shown in 3D
TILT = math.radians(18)
SWING = math.radians(40)  # the view in 3D swings so far to either side, once in the whole picture


def tracked_frames() -> Iterator[tuple[DepthFrame, list[HandPose]]]:
    """The frames of the recording with the poses that the daemon would publish of them."""
    bundle = read_bundle(BUNDLE)
    settings = tracker_settings(bundle, TrackingConfig(handedness="any", max_hands=2))
    state, clock = TrackerState(), StageClock()
    with open_engines(bundle, batch=2) as engines:
        for frame in open_recording(RECORDING):
            poses, state = track_hands(frame, state, engines, settings, clock)
            yield frame, poses


def color_depth(frame: DepthFrame) -> Uint8:
    """The depth image (H, W, 3) in color: light is near, dark is far, nearly black is not measured."""
    depth_mm = frame.depth.astype(np.float32) * np.float32(frame.depth_unit_mm)
    place = np.clip((depth_mm - NEAR_MM) / (FAR_MM - NEAR_MM), 0, 1) * (len(SCALE_RGB) - 1)
    stops = np.arange(len(SCALE_RGB))
    image = np.stack([np.interp(place, stops, SCALE_RGB[:, channel]) for channel in range(3)], axis=-1)
    image[frame.depth == 0] = NOTHING_RGB
    return image.astype(np.uint8)


def draw_overlay(frame: DepthFrame, poses: list[HandPose]) -> Image.Image:
    """The depth image with the skeleton of every hand over it."""
    left, top, right, _ = SHOWN_PX
    size = (DEPTH_PX[0] * SHARPNESS, DEPTH_PX[1] * SHARPNESS)
    image = Image.fromarray(color_depth(frame)).resize(size, Image.Resampling.BILINEAR, SHOWN_PX)
    scale = size[0] / (right - left)
    for pose in poses:
        uv_px = (np.asarray(project(np, pose.xyz_camera_mm, frame.intrinsics)) - (left, top)) * scale
        draw_skeleton(ImageDraw.Draw(image), uv_px, pose.xyz_camera_mm[:, 2])
    return image


def draw_space(poses: list[HandPose], turn: float) -> Image.Image:
    """The skeletons in 3D above a floor, each about its own middle, seen from `turn` radians to the side."""
    width, height = SPACE_PX[0] * SHARPNESS, SPACE_PX[1] * SHARPNESS
    image = Image.new("RGB", (width, height), SPACE_RGB)
    brush = ImageDraw.Draw(image)
    middle_px = np.array([width / 2, height * 0.5])
    px_per_mm = height * 0.92 / SPACE_MM
    for start, end in floor_lines():
        ends = [tuple(middle_px + px_per_mm * seen_from(point, turn)[:2]) for point in (start, end)]
        brush.line(ends, FLOOR_RGB, SHARPNESS)
    for pose in poses:
        xyz_mm = pose.xyz_camera_mm
        seen = seen_from(xyz_mm - (xyz_mm.min(axis=0) + xyz_mm.max(axis=0)) / 2, turn)
        draw_skeleton(brush, middle_px + px_per_mm * seen[:, :2], seen[:, 2])
    return image


def floor_lines() -> Iterator[tuple[Float32, Float32]]:
    """The ends (3,) in mm of the lines of a square grid below the hand."""
    half, below = SPACE_MM / 2 - 15, SPACE_MM / 2 - 15
    for at in np.linspace(-half, half, 7, dtype=np.float32):
        yield np.array([at, below, -half], np.float32), np.array([at, below, half], np.float32)
        yield np.array([-half, below, at], np.float32), np.array([half, below, at], np.float32)


def seen_from(xyz_mm: Float32, turn: float) -> Float32:
    """The points (..., 3) turned about the vertical, then tilted so that the floor is seen from above; mm."""
    x, y, z = np.moveaxis(xyz_mm, -1, 0)
    x, z = x * math.cos(turn) + z * math.sin(turn), z * math.cos(turn) - x * math.sin(turn)
    return np.stack([x, y * math.cos(TILT) - z * math.sin(TILT), z * math.cos(TILT) + y * math.sin(TILT)], axis=-1)


def draw_skeleton(brush: ImageDraw.ImageDraw, uv_px: Float32, away: Float32) -> None:
    """Bones and joints (21, 2), the farthest first; `away` (21,) orders them."""
    for parent, child in sorted(BONES, key=lambda bone: -float(away[list(bone)].max())):
        ends = [tuple(uv_px[parent]), tuple(uv_px[child])]
        brush.line(ends, NOTHING_RGB, 5 * SHARPNESS)
        brush.line(ends, color_of(child), 3 * SHARPNESS)
    for joint in np.argsort(-away):
        (u, v), radius = uv_px[joint], (4.5 if joint == 0 else 3.2) * SHARPNESS
        brush.ellipse((u - radius, v - radius, u + radius, v + radius), color_of(int(joint)), NOTHING_RGB, SHARPNESS)


def color_of(joint: int) -> tuple[int, int, int]:
    """The color of a joint's finger."""
    finger = HAND21[joint].split("_")[0]
    return FINGER_RGB[FINGERS.index(finger)] if finger in FINGERS else WRIST_RGB


def draw_frame(frame: DepthFrame, poses: list[HandPose], turn: float) -> Image.Image:
    """Both panels side by side, with a line of words above each."""
    left, right = draw_overlay(frame, poses), draw_space(poses, turn)
    image = Image.new("RGB", (left.width + right.width, left.height), SPACE_RGB)
    image.paste(left, (0, 0))
    image.paste(right, (left.width, 0))
    brush = ImageDraw.Draw(image)
    font = ImageFont.load_default(12 * SHARPNESS)
    for words, at_px in (("depth image, joints over it", 10), ("the same joints in 3D", DEPTH_PX[0] + 10)):
        brush.text((at_px * SHARPNESS, 10 * SHARPNESS), words, TEXT_RGB, font)
    return image.resize((image.width // SHARPNESS, image.height // SHARPNESS), Image.Resampling.LANCZOS)


def main(picture: Path) -> None:
    """Writes the moving picture."""
    shown = list(tracked_frames())[::EVERY]
    turns = [SWING * math.sin(2 * math.pi * number / len(shown)) for number in range(len(shown))]
    images = [draw_frame(frame, poses, turn) for (frame, poses), turn in zip(shown, turns, strict=True)]
    images[0].save(
        picture, save_all=True, append_images=images[1:], duration=FRAME_MS, loop=0, quality=QUALITY, method=6
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE)
