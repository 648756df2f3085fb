"""Figures of this part: every kind of guidance map of one hand, and every kind of synthetic scene, side by side."""

from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from handmap.files.atomic import write_file
from handmap.types.arrays import Array, Float32
from handmap.types.errors import ConfigError
from handmap.types.intrinsics import project
from handmap.types.joints import HAND21

from .network.guidance import HandCells, make_maps, reduce_to_cells, signed_silhouette_distance, voxel_offset_maps
from .network.network import GuidanceKind
from .samples.augment import AugmentConfig, Samples, augment, draw_warps
from .samples.sample_cache import RenderedHands
from .synthesis.scene import center_of
from .synthesis.scene_sheet import Tile, draw_tiles
from .synthesis.synthetic import render_samples

CUBE_MM = 250.0
STILL = AugmentConfig(rotation_deg=0, scale_sigma=0, near_jitter_mm=0, far_jitter_mm=0, depth_noise_mm=0)
KINDS: tuple[GuidanceKind, ...] = ("heatmap", "dist2", "edt2", "edt2m")
VOXELS = 32
COLUMNS = 6
HALF_MM = 165.0  # of the scene that a tile shows, about the hand's center


def draw_guidance_maps(path: Path, seed: int = 11, joint: str = "index_tip") -> None:
    """Draws the maps of one joint of the rendered hand `seed` into a PNG.

    Raises ConfigError where the joint is unknown, the sample shows no hand, or the file cannot be written.
    """
    if joint not in HAND21:
        raise ConfigError(f"drawing guidance maps: joint {joint!r} is not in hand21; use one of {', '.join(HAND21)}")
    matplotlib.use("Agg")
    number = HAND21.index(joint)
    samples = augment(RenderedHands(*_rendered(seed)), draw_warps(STILL, (0, 0), np.array([seed])), CUBE_MM)
    if np.isnan(samples.joints).any():
        raise ConfigError(f"drawing guidance maps: sample {seed} shows no hand; use another --seed")
    cells = reduce_to_cells(samples.depth, samples.is_hand)
    figure = Figure(figsize=(12, 9.4), layout="constrained")
    axes = figure.subplots(3, 4).ravel()
    _show(axes[0], samples.depth[0], "depth crop, 128 x 128", "gray")
    axes[0].plot(*((samples.joints[0, :, :2].T + 1) * 64 - 0.5), "r.", markersize=4)
    for place, kind in zip(axes[1:5], KINDS, strict=True):
        _show(place, make_maps(kind, cells, samples.joints)[0, number], kind, "viridis")
    units = make_maps("udir2", cells, samples.joints)[0, len(HAND21) + 3 * number :][:3]
    for place, unit, name in zip(axes[5:8], units, "xyz", strict=True):
        _show(place, unit, f"udir2: unit offset {name}", "coolwarm")
    _show(axes[8], signed_silhouette_distance(cells.is_hand)[0], "signed silhouette EDT", "coolwarm")
    for place, image, name in zip(
        axes[9:12], _voxel_images(cells, samples, number), ("distance", "unit x", "unit z"), strict=True
    ):
        _show(place, image, f"vxudir: {name}, seen along y", "viridis" if name == "distance" else "coolwarm")
    figure.suptitle(f"Guidance maps of {joint}, hand {seed}")
    _save(figure, path)


def draw_scene_sheet(path: Path, seed: int, of_each: int) -> int:
    """Draws `of_each` tiles of every switch of the scenes into a PNG, joints as dots; returns how many tiles there are.

    Raises ConfigError where the file cannot be written.
    """
    matplotlib.use("Agg")
    tiles = list(draw_tiles(seed, of_each))
    rows = -(-len(tiles) // COLUMNS)
    figure = Figure(figsize=(2.4 * COLUMNS, 2.6 * rows), layout="constrained")
    places = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for place in places:
        place.set_axis_off()
    for place, tile in zip(places, tiles, strict=False):
        _show_tile(place, tile)
    _save(figure, path)
    return len(tiles)


def _save(figure: Figure, path: Path) -> None:
    buffer = BytesIO()
    try:
        figure.savefig(buffer, format=path.suffix.removeprefix(".") or None, dpi=70)
    except ValueError as error:  # not an image format
        raise ConfigError(f"figure {str(path)!r} cannot be written: {error}; name a .png") from error
    write_file(path, buffer.getvalue())


def _show_tile(place: Axes, tile: Tile) -> None:
    """The image about the hand, near bright and far dark, nothing black; visible joints green, hidden ones red."""
    frame, joints = tile.frame.frame, tile.frame.xyz_camera_mm
    center = center_of(joints.astype(np.float64))
    depth = np.asarray(frame.depth, np.float64) * frame.depth_unit_mm
    shade = np.where(depth > 0, np.clip(1 - (depth - center[2] + HALF_MM) / (2.4 * HALF_MM), 0.12, 1), 0)
    place.imshow(shade, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    uv = project(np, joints, frame.intrinsics)
    place.scatter(uv[:, 0], uv[:, 1], s=5, c=list(np.where(tile.frame.is_visible, "lime", "red")), linewidths=0)
    column, row = project(np, center[None], frame.intrinsics)[0]
    half_px = HALF_MM / center[2] * frame.intrinsics.fx_px
    place.set_xlim(column - half_px, column + half_px)
    place.set_ylim(row + half_px, row - half_px)
    place.set_title(f"{tile.title}, {center[2]:.0f} mm", fontsize=8)


def _rendered(seed: int) -> tuple[Array, Array, Float32]:
    drawn = render_samples(seed, 1)
    return drawn.canvas, drawn.is_hand, drawn.joints_mm


def _voxel_images(cells: HandCells, samples: Samples, joint: int) -> list[Float32]:
    """Projections along y (rows z, columns x) of distance, unit x and unit z in the voxels that the surface passes through."""
    rows, columns = np.nonzero(cells.is_hand[0])
    slices = np.floor((cells.depth[0, rows, columns] + 1) * (VOXELS / 2)).astype(np.int64)
    is_occupied = np.zeros((1, VOXELS, VOXELS, VOXELS), np.bool_)
    is_occupied[0, slices, rows, columns] = True
    volume = voxel_offset_maps(is_occupied, samples.joints)[0]
    first = len(HAND21) + 3 * joint
    hits = np.maximum(is_occupied[0].sum(axis=1), 1)
    return [volume[joint].max(axis=1), volume[first].sum(axis=1) / hits, volume[first + 2].sum(axis=1) / hits]


def _show(place: Axes, image: Float32, title: str, colors: str) -> None:
    limit = float(np.abs(image).max())
    low = -limit if colors == "coolwarm" else float(image.min())
    drawn = place.imshow(image, cmap=colors, vmin=low, vmax=limit if colors == "coolwarm" else float(image.max()))
    place.set_title(title, fontsize=9)
    place.set_axis_off()
    place.figure.colorbar(drawn, ax=place, shrink=0.75)
