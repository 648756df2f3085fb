"""A contact sheet of what is published: each hand as capsules of the fitted body over its depth, the network's joints and the truth."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from handmap.engines.engine import Engines
from handmap.files.atomic import refuse_unwritable
from handmap.files.images import refuse_ending, write_picture
from handmap.metrics.pose_error import mpjpe_mm, present
from handmap.recording.datasets import Dataset, LabeledFrame, label_center
from handmap.skeleton.body import Bodies
from handmap.skeleton.orientation import HAND21_OF_XR26, orient_joints
from handmap.tracking.track import cube_center
from handmap.tracking.tracker_settings import TrackerSettings
from handmap.types.arrays import Float32, Float64, Uint8
from handmap.types.errors import ConfigError
from handmap.types.intrinsics import Intrinsics, project
from handmap.types.joints import BONES
from handmap.types.values import DepthFrame, HandPose

COLUMNS, SHOWN = 4, 12
HALF_MM = 125.0  # of the scene that a tile shows, about the hand
ARC_POINTS = 16
FINGERS = ("#f08a4b", "#f5cb5c", "#6ec98c", "#58aae8", "#be8cec")
NOTHING, TRUTH = "#14181f", "#c81e1e"
LEGEND, TRUTH_LEGEND = "filled: the published hand; white dots: the network's joints", "; red crosses: the truth"


class ShownDataset:
    """A data set of which a dozen of the first `total` frames are kept as it is iterated, evenly spaced, to be drawn."""

    def __init__(self, dataset: Dataset, total: int) -> None:
        self.name, self.joint_names = dataset.name, dataset.joint_names
        self.shown: list[LabeledFrame] = []
        self._dataset = dataset
        self._wanted = set(np.linspace(0, total - 1, min(SHOWN, total)).astype(int).tolist())

    def __len__(self) -> int:
        return len(self._dataset)

    def __iter__(self) -> Iterator[LabeledFrame]:
        self.shown = []
        for number, labeled in enumerate(self._dataset):
            if number in self._wanted:
                self.shown.append(labeled)
            yield labeled


@dataclass(frozen=True)
class Tile:
    """One frame with what is published of it: poses, and their bodies if they were fitted; the true joints (21, 3), if known."""

    title: str
    frame: DepthFrame
    poses: list[HandPose]
    bodies: Bodies | None
    truth_mm: Float32 | None = None


def labeled_tile(labeled: LabeledFrame, engines: Engines, settings: TrackerSettings, presentations: int) -> Tile:
    """The tile of a frame shown by itself, as `measure_pose_errors` shows it; the title has its errors."""
    poses, state = present(labeled.frame, engines, settings, presentations)
    truth, title = labeled.xyz_camera_mm, f"frame {labeled.frame.frame_number}: "
    if poses:
        raw_mm = mpjpe_mm(poses[0].raw_xyz_camera_mm, truth) if poses[0].raw_xyz_camera_mm is not None else math.nan
        title += f"{mpjpe_mm(poses[0].xyz_camera_mm, truth):.1f} mm (network {raw_mm:.1f})"
    return Tile(title if poses else title + "no hand found", labeled.frame, poses, state.fitted.bodies, truth)


def refuse_sheet(path: Path) -> None:
    """Raises ConfigError if `path` is a folder, or its ending no picture's, FileError if nothing can be written there.

    Call it before long work.
    """
    if path.is_dir():
        raise ConfigError(f"--sheet {str(path)!r} is a folder, wanted a picture; name a .png in it")
    refuse_ending(path)
    refuse_unwritable(path)


def draw_fitted_sheet(path: Path, tiles: Sequence[Tile], columns: int = COLUMNS) -> None:
    """Draws the tiles into a picture in the format of the file's ending.

    Raises ConfigError or FileError as `refuse_sheet` does.
    """
    rows = max(-(-len(tiles) // columns), 1)
    figure = Figure(figsize=(2.9 * columns, 3.1 * rows + 0.4), dpi=100, layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for place in places:
        place.set_axis_off()
    for place, tile in zip(places, tiles, strict=False):
        _draw_tile(place, tile)
    has_truth = any(tile.truth_mm is not None for tile in tiles)
    figure.suptitle(LEGEND + TRUTH_LEGEND * has_truth, fontsize=9)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib has no types here
    pixels: Uint8 = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]  # nor here
    write_picture(path, pixels)


def _draw_tile(axes: Axes, tile: Tile) -> None:
    intrinsics, center = tile.frame.intrinsics, _center_mm(tile)
    draw_depth(axes, tile.frame, float(center[2]))
    for row, pose in enumerate(tile.poses):
        joints = pose.xyz_camera_mm.astype(np.float64)
        for number, (start, end) in enumerate(BONES):
            color = FINGERS[number // 4]
            if tile.bodies is None:
                axes.plot(*project(np, joints[[start, end]], intrinsics).T, color=color, linewidth=2)
            else:
                ends, radii = joints[[start, end]], joint_radii_mm(tile.bodies)[row, [start, end]]
                outline = capsule_px(ends, radii, intrinsics)
                axes.add_patch(Polygon(outline, facecolor=color, edgecolor=color, alpha=0.45, linewidth=0.8))
        if pose.raw_xyz_camera_mm is not None:
            axes.plot(*project(np, pose.raw_xyz_camera_mm, intrinsics).T, "o", color="white", markersize=2)
    if tile.truth_mm is not None:
        axes.plot(*project(np, tile.truth_mm, intrinsics).T, "x", color=TRUTH, markersize=4, markeredgewidth=0.9)
    show_around(axes, center, intrinsics)
    axes.set_title(tile.title, fontsize=8)


def draw_depth(axes: Axes, frame: DepthFrame, z_mm: float) -> None:
    """The depth about z_mm in shades of gray, near ones light, and pixels without a measurement in a color of their own."""
    depth_mm = np.where(frame.depth > 0, frame.depth * frame.depth_unit_mm, np.nan)
    shades = matplotlib.colormaps["gray_r"].with_extremes(bad=NOTHING)
    axes.imshow(depth_mm, cmap=shades, vmin=z_mm - 120, vmax=z_mm + 200)


def show_around(axes: Axes, center_mm: Float32, intrinsics: Intrinsics) -> None:
    """Shows the part of the image that is HALF_MM to each side of a point (3,) of the camera frame."""
    u, v = project(np, center_mm[None], intrinsics)[0]
    half_px = HALF_MM * intrinsics.fx_px / center_mm[2]
    axes.set_xlim(u - half_px, u + half_px)
    axes.set_ylim(v + half_px, v - half_px)


def joint_radii_mm(bodies: Bodies) -> Float64:
    """The radii (N, 21) of the joints of hand21."""
    radii = np.empty((len(bodies.track_ids), 21))
    is_joint = HAND21_OF_XR26 >= 0
    radii[:, HAND21_OF_XR26[is_joint]] = orient_joints(bodies.hands).radii_mm[:, is_joint]
    return radii


def capsule_px(ends_mm: Float64, radii_mm: Float64, intrinsics: Intrinsics) -> Float64:
    """The outline (K, 2) in pixels of a bone from one end to the other, (2, 3), as thick as its ends' radii (2,): their convex hull."""
    places = project(np, ends_mm, intrinsics)
    radii_px = radii_mm * intrinsics.fx_px / np.maximum(ends_mm[:, 2], 1.0)
    along = places[1] - places[0]
    if np.hypot(*along) <= abs(radii_px[1] - radii_px[0]):  # seen end on: one circle covers the other
        larger = int(np.argmax(radii_px))
        return _arc(places[larger], radii_px[larger], 0.0, 2 * math.pi)
    tilt = math.acos((radii_px[0] - radii_px[1]) / np.hypot(*along))
    heading = math.atan2(along[1], along[0])
    first = _arc(places[0], radii_px[0], heading + tilt, heading + 2 * math.pi - tilt)
    return np.concatenate([first, _arc(places[1], radii_px[1], heading - tilt, heading + tilt)])


def _arc(center_px: Float64, radius_px: float, first_rad: float, last_rad: float) -> Float64:
    around = np.linspace(first_rad, last_rad, ARC_POINTS)
    arc: Float64 = center_px + radius_px * np.stack([np.cos(around), np.sin(around)], axis=1)
    return arc


def _center_mm(tile: Tile) -> Float32:
    if tile.truth_mm is not None:
        return label_center(tile.truth_mm)
    if tile.poses:
        return cube_center(tile.poses[0].xyz_camera_mm)
    intrinsics = tile.frame.intrinsics
    middle = ((intrinsics.width_px - 1) / 2 - intrinsics.cx_px, (intrinsics.height_px - 1) / 2 - intrinsics.cy_px)
    z_mm = 2 * HALF_MM * intrinsics.fx_px / intrinsics.width_px  # so that the whole image is shown
    return np.array([middle[0] / intrinsics.fx_px * z_mm, middle[1] / intrinsics.fy_px * z_mm, z_mm], np.float32)
