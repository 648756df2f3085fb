"""Draws a preview: the depth picture with the candidates, the cubes, the hands and their expected errors in it, and its color bars."""

import textwrap
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from handmap.protocol.preview import Cube, Picture, PreviewHand
from handmap.types.arrays import Float32, Uint8
from handmap.types.intrinsics import Intrinsics, project
from handmap.types.joints import BONES
from handmap.types.values import Handedness

from .colors import SIDE_RGB, SURE_MM, UNSURE_MM, depth_colors, error_colors

WIDTH_PX: Final = 480
BAR_PX: Final = 44
STEP_MM: Final = 100.0  # the ends of the depth bar are whole steps, so that it stands still
PROPOSAL_RGB: Final = (170, 170, 180)
PAPER_RGB, INK_RGB = (20, 20, 24), (225, 225, 230)
_CORNERS: Final = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
_EDGES: Final = [(a, b) for a in range(8) for b in range(a + 1, 8) if (a ^ b) in (1, 2, 4)]
_FONT: Final = ImageFont.load_default(16)


def draw_picture(picture: Picture, depth_mm: Float32) -> Uint8:
    """A picture with this depth (H, W), mm, with everything drawn in it: (H, WIDTH_PX, 3)."""
    near_mm, far_mm = depth_ends_mm(depth_mm)
    scale = WIDTH_PX / picture.width_px
    size = WIDTH_PX, max(round(picture.height_px * scale), 1)
    shown = Image.fromarray(depth_colors(depth_mm, near_mm, far_mm)).resize(size, Image.Resampling.NEAREST)
    image = Image.new("RGB", (size[0], size[1] + BAR_PX), PAPER_RGB)
    image.paste(shown)
    brush = ImageDraw.Draw(image)
    lens = _scaled(picture.intrinsics, scale, size)
    for cube in picture.proposals:
        _draw_cube(brush, cube, lens, PROPOSAL_RGB, 1)
    for hand in picture.hands:
        _draw_hand(brush, hand, lens)
    _draw_bars(brush, size, near_mm, far_mm)
    return np.asarray(image)


def draw_nothing(why: str) -> Uint8:
    """A picture (H, WIDTH_PX, 3) that says why there is none."""
    image = Image.new("RGB", (WIDTH_PX, WIDTH_PX * 3 // 8), PAPER_RGB)
    lines = textwrap.wrap(why, 50)
    place = WIDTH_PX / 2, image.size[1] / 2
    ImageDraw.Draw(image).multiline_text(
        place, "\n".join(lines), INK_RGB, _FONT, anchor="mm", align="center", spacing=6
    )
    return np.asarray(image)


def depth_ends_mm(depth_mm: Float32) -> tuple[float, float]:
    """Where the color bar begins and ends: whole steps about nearly all that was measured."""
    measured = depth_mm[depth_mm > 0]
    if not len(measured):
        return 0.0, STEP_MM
    near, far = np.percentile(measured, (1, 95))
    return float(near // STEP_MM * STEP_MM), float(far // STEP_MM * STEP_MM + STEP_MM)


def _scaled(lens: Intrinsics, scale: float, size: tuple[int, int]) -> Intrinsics:
    """The intrinsics of the enlarged picture: the middle of a pixel becomes the middle of its block."""
    half = (scale - 1) / 2
    return Intrinsics(
        *size, lens.fx_px * scale, lens.fy_px * scale, lens.cx_px * scale + half, lens.cy_px * scale + half
    )


def _draw_cube(
    brush: ImageDraw.ImageDraw, cube: Cube, lens: Intrinsics, color: tuple[int, int, int], width: int
) -> None:
    corners = np.array(cube.center_mm) + _CORNERS * cube.side_mm
    if (corners[:, 2] <= 1).any():  # it reaches behind the camera
        return
    places = project(np, corners, lens)
    for a, b in _EDGES:
        brush.line([*places[a], *places[b]], fill=color, width=width)


def _draw_hand(brush: ImageDraw.ImageDraw, hand: PreviewHand, lens: Intrinsics) -> None:
    color = SIDE_RGB[hand.handedness]
    _draw_cube(brush, hand.cube, lens, color, 2 if hand.is_valid else 1)
    joints = np.array(hand.joints_mm)
    if len(joints) != len(hand.expected_error_mm) or not (joints[:, 2] > 1).all():
        return
    places = project(np, joints, lens)
    errors = np.array(hand.expected_error_mm)
    for a, b in BONES:
        brush.line([*places[a], *places[b]], fill=color, width=4)
    for (u, v), (red, green, blue) in zip(places, error_colors(errors).tolist(), strict=True):
        brush.ellipse([u - 5, v - 5, u + 5, v + 5], fill=(red, green, blue), outline=PAPER_RGB)
    side = "" if hand.handedness is Handedness.UNKNOWN else f"{hand.handedness.name.lower()} "
    text = f"{side}#{hand.track_id}  ±{errors.mean():.0f} mm" + ("" if hand.is_valid else "  not valid")
    u, v = float(places[:, 0].min()), float(places[:, 1].min()) - 24
    box = brush.textbbox((u, v), text, font=_FONT)
    u, v = min(max(u, 4.0), lens.width_px - (box[2] - box[0]) - 4), min(max(v, 4.0), lens.height_px - 22)
    box = brush.textbbox((u, v), text, font=_FONT)
    brush.rectangle([box[0] - 3, box[1] - 2, box[2] + 3, box[3] + 2], fill=PAPER_RGB)
    brush.text((u, v), text, fill=color, font=_FONT)


def _draw_bars(brush: ImageDraw.ImageDraw, size: tuple[int, int], near_mm: float, far_mm: float) -> None:
    """Below the picture: what the colors of depth and of joints mean."""
    middle = size[0] // 2
    places = np.linspace(0, 1, middle - 24)
    depth = depth_colors((near_mm + places * (far_mm - near_mm)).astype(np.float32).clip(1e-3), near_mm, far_mm)
    errors = error_colors(SURE_MM + places * (UNSURE_MM - SURE_MM))
    ends = (f"{near_mm / 1000:.1f} m", f"{far_mm / 1000:.1f} m"), (f"±{SURE_MM:.0f} mm", f"±{UNSURE_MM:.0f} mm")
    names = "depth", "joint error"
    for left, colors, (first, last), name in zip((12, middle + 12), (depth, errors), ends, names, strict=True):
        top = size[1] + 6
        for offset, color in enumerate(colors.tolist()):
            brush.line([left + offset, top, left + offset, top + 9], fill=tuple(color))
        right = left + len(colors)
        brush.text((left, top + 12), first, fill=INK_RGB, font=_FONT)
        brush.text((right, top + 12), last, fill=INK_RGB, font=_FONT, anchor="ra")
        brush.text(((left + right) / 2, top + 12), name, fill=INK_RGB, font=_FONT, anchor="ma")
