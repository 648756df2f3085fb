"""What a depth camera makes of an ideal z-buffer: jitter, lost and flying edge pixels, disparity noise and steps, holes.

Noise is a function of the seed and the pixel alone, so it depends on neither the order of drawing nor a generator's state.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from handmap.types.arrays import Bool, Float32, Float64, Uint16

from ..compiled import compiled
from .faults import add_salt, punch_holes
from .optics import EDGE_MM, Optics, pass_optics

DEPTH_UNITS_MM = (1.0, 0.125)  # what RealSense cameras deliver
BASELINE_MM = 50.0  # of a structured-light or stereo module of headset size
GRID_SHIFT = 3
GRID_PX = 1 << GRID_SHIFT  # spacing of the correlated noise
RIM_PX = 2  # the outermost pixels of a window stay empty, as a matcher leaves them
FLYING_MM = 60.0  # a flying pixel lands at most this far behind its surface


@dataclass(frozen=True)
class Sensor:
    """One camera's faults. Disparity figures are in pixels; rates are probabilities per pixel.

    near_salt is the share of all pixels that stand before the hand, hole_share that of the hand's pixels lost in blobs.
    """

    depth_unit_mm: float
    white_px: float
    correlated_px: float
    step_px: float
    jitter_rate: float
    lost_edge_rate: float
    flying_edge_rate: float
    min_mm: float
    holes: Float64  # (K, 3) row, column, radius, in pixels of the window
    seed: int
    optics: Optics | None = None
    near_salt: float = 0.0
    hole_share: float = 0.0


def draw_sensor(random: np.random.Generator, depth_unit_mm: float, height_px: int, width_px: int) -> Sensor:
    """A random sensor for a window of this size."""
    white, correlated, step, jitter, lost, flying, lowest = random.uniform(
        (0.02, 0.02, 0.0, 0.0, 0.02, 0.02, 100), (0.14, 0.10, 1.0, 0.5, 0.35, 0.2, 130)
    )
    count = max(int(random.integers(-3, 5)), 0)
    holes = random.uniform((0, 0, 1.5), (height_px, width_px, 7.0), (count, 3))
    seed = int(random.integers(0, 2**62))
    step_px = 2.0 ** -(3 + 2 * step)  # 1/8 to 1/32
    return Sensor(depth_unit_mm, white, correlated, step_px, jitter, lost, flying, lowest, holes, seed)


def draw_stereo(random: np.random.Generator, depth_unit_mm: float, height_px: int, width_px: int) -> Sensor:
    """An active stereo camera: one side of near edges in shadow, edges fat, steps and slow noise coarse."""
    plain = draw_sensor(random, depth_unit_mm, height_px, width_px)
    shadow_mm, correlated, step = random.uniform((20, 0.06, 0.0), (75, 0.2, 1.0))
    side = 1.0 if random.uniform() < 0.5 else -1.0
    optics = Optics(shadow_mm=side * shadow_mm, fat_px=int(random.integers(1, 3)))
    return replace(
        plain, correlated_px=correlated, step_px=2.0 ** -(2 + 2 * step), flying_edge_rate=0.02, optics=optics
    )


def draw_time_of_flight(random: np.random.Generator, depth_unit_mm: float, height_px: int, width_px: int) -> Sensor:
    """A time of flight camera: many flying pixels on both sides of edges, round corners, grain where little light returns."""
    plain = draw_sensor(random, depth_unit_mm, height_px, width_px)
    roundness, grain_mm, flying, lost = random.uniform((0.0, 0.4, 0.3, 0.0), (0.5, 2.2, 0.8, 0.15))
    return replace(
        plain, white_px=0.0, correlated_px=0.3 * plain.correlated_px, step_px=1 / 1024, lost_edge_rate=lost,
        flying_edge_rate=flying, optics=Optics(roundness=roundness, grain_mm=grain_mm),
    )  # fmt: skip


def draw_any_sensor(random: np.random.Generator, depth_unit_mm: float, height_px: int, width_px: int) -> Sensor:
    """A random sensor of a random family, with no near salt or large holes."""
    draw = FAMILIES[int(np.searchsorted(CUMULATIVE_FAMILIES, random.uniform()))]
    return draw(random, depth_unit_mm, height_px, width_px)


def sense(z_mm: Float32, is_hand: Bool, focal_px: float, sensor: Sensor) -> tuple[Uint16, Bool]:
    """Raw depth (H, W) in units of the sensor and the mask that belongs to it, from an ideal z-buffer and its mask."""
    if sensor.optics is not None:
        z_mm, is_hand = pass_optics(z_mm, is_hand, focal_px, sensor.optics, sensor.seed)
    figures = np.array(
        [
            sensor.depth_unit_mm, sensor.white_px, sensor.correlated_px, sensor.step_px, sensor.jitter_rate,
            sensor.lost_edge_rate, sensor.flying_edge_rate, sensor.min_mm, focal_px * BASELINE_MM,
        ]
    )  # fmt: skip
    raw, mask = _sense(z_mm, is_hand, figures, np.uint64(sensor.seed))
    _punch(raw, mask, sensor.holes)
    if sensor.hole_share > 0:
        raw, mask = punch_holes(raw, mask, sensor.hole_share, sensor.seed)
    if sensor.near_salt > 0:
        raw, mask = add_salt(raw, mask, sensor.depth_unit_mm, sensor.near_salt, sensor.seed)
    return raw, mask


@compiled
def _mix(value: np.uint64) -> np.uint64:
    """SplitMix64's finalizer: 64 well mixed bits of a counter."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@compiled
def _normal(bits: np.uint64) -> float:
    """About standard normal: four 12-bit uniforms added (variance 4/12), cut at 3.46 sigma."""
    low = np.uint64(0xFFF)
    total = (
        (bits & low)
        + ((bits >> np.uint64(12)) & low)
        + ((bits >> np.uint64(24)) & low)
        + ((bits >> np.uint64(36)) & low)
    )
    return (float(total) / 4096.0 - 2.0) * 1.7320508


@compiled
def _grid(height: int, width: int, seed: np.uint64) -> Float32:
    """Normal draws at every GRID_PX-th pixel, one more than needed on each side."""
    grid = np.empty(((height >> GRID_SHIFT) + 2, (width >> GRID_SHIFT) + 2), np.float32)
    for row in range(grid.shape[0]):
        for column in range(grid.shape[1]):
            grid[row, column] = _normal(_mix(seed + np.uint64(row * 4096 + column + 1) * np.uint64(0xD1B54A32D192ED03)))
    return grid


@compiled
def _smooth(grid: Float32, row: int, column: int) -> np.float32:
    """The grid between its points, bilinear, scaled back to about unit variance."""
    i, j = row >> GRID_SHIFT, column >> GRID_SHIFT
    v = np.float32(row & (GRID_PX - 1)) * np.float32(1 / GRID_PX)
    u = np.float32(column & (GRID_PX - 1)) * np.float32(1 / GRID_PX)
    top = grid[i, j] + (grid[i, j + 1] - grid[i, j]) * u
    bottom = grid[i + 1, j] + (grid[i + 1, j + 1] - grid[i + 1, j]) * u
    smooth: np.float32 = (top + (bottom - top) * v) * np.float32(1.5)
    return smooth


@compiled
def _step_behind(z_mm: Float32, row: np.int64, column: np.int64) -> float:
    """How far the farthest of the four neighbors lies behind this pixel, mm; FLYING_MM where one is empty, 0 where none is an edge."""
    z = z_mm[row, column]
    up, down = z_mm[row - 1, column], z_mm[row + 1, column]
    left, right = z_mm[row, column - 1], z_mm[row, column + 1]
    lowest, highest = min(up, down, left, right), max(up, down, left, right)
    if lowest == 0.0:
        return FLYING_MM
    if highest - z > EDGE_MM:
        return min(float(highest - z), FLYING_MM)
    if z - lowest > EDGE_MM:
        return max(float(lowest - z), -FLYING_MM)
    return 0.0


@compiled
def _sense(z_mm: Float32, is_hand: Bool, figures: Float64, seed: np.uint64) -> tuple[Uint16, Bool]:
    height, width = z_mm.shape
    unit, white, correlated, step, jitter, lost, flying, lowest, focal_baseline = figures
    in_steps, in_units = 1.0 / step, focal_baseline / (step * unit)
    jitter_limit = np.uint64(jitter * 256.0)
    grid = _grid(height, width, seed)
    raw = np.zeros((height, width), np.uint16)
    mask = np.zeros((height, width), np.bool_)
    for row in range(RIM_PX, height - RIM_PX):
        for column in range(RIM_PX, width - RIM_PX):
            if z_mm[row, column] == 0 and z_mm[row, column - 1] == 0 and z_mm[row, column + 1] == 0:
                continue  # nothing here or beside it: nothing that jitter could bring
            bits = _mix(seed ^ (np.uint64((row << 16) + column) * np.uint64(0x9E3779B97F4A7C15)))
            # Steps of -1, 0 or 1, without a branch that the processor could only guess.
            jitters = np.int64((bits & np.uint64(0xFF)) < jitter_limit)
            i = row + jitters * (
                np.int64(((bits >> np.uint64(8)) & np.uint64(0xFF)) * np.uint64(3) >> np.uint64(8)) - 1
            )
            j = column + jitters * (
                np.int64(((bits >> np.uint64(16)) & np.uint64(0xFF)) * np.uint64(3) >> np.uint64(8)) - 1
            )
            z = float(z_mm[i, j])
            if z < lowest:
                continue
            behind = _step_behind(z_mm, i, j)
            if behind != 0.0:
                chance = float((bits >> np.uint64(24)) & np.uint64(0xFFFF)) / 65536.0
                if chance < lost:
                    continue
                if chance < lost + flying:
                    z += behind * float((bits >> np.uint64(40)) & np.uint64(0xFF)) / 256.0
            noise = white * _normal(_mix(bits)) + correlated * _smooth(grid, row, column)
            # Disparity d = focal * baseline / z; its error is even over the image, so that of z grows with z squared.
            steps = math.floor((focal_baseline / z + noise) * in_steps + 0.5)
            depth = in_units / steps + 0.5 if steps > 0.0 else 0.0
            if 1.0 <= depth < 65536.0:
                raw[row, column] = np.uint16(depth)
                mask[row, column] = is_hand[i, j]
    return raw, mask


@compiled
def _punch(raw: Uint16, mask: Bool, holes: Float64) -> None:
    """Empties round holes, as specular spots leave them."""
    height, width = raw.shape
    for k in range(len(holes)):
        center_row, center_column, radius = holes[k]
        for row in range(max(int(center_row - radius), 0), min(int(center_row + radius) + 1, height)):
            for column in range(max(int(center_column - radius), 0), min(int(center_column + radius) + 1, width)):
                if (row - center_row) ** 2 + (column - center_column) ** 2 < radius * radius:
                    raw[row, column] = 0
                    mask[row, column] = False


FAMILIES: tuple[Callable[[np.random.Generator, float, int, int], Sensor], ...] = (
    draw_sensor, draw_stereo, draw_time_of_flight,
)  # fmt: skip
CUMULATIVE_FAMILIES = np.array(
    [0.5, 0.75, 1.0]
)  # structured light most, since `synthetic:val` and the boards' cameras are near it
