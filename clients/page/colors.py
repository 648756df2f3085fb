"""The colors of the page: of the two hands, of a joint's expected error, and of depth."""

from typing import Final

import numpy as np

from handmap.types.arrays import Array, Float32, Float64, Uint8
from handmap.types.values import Handedness

SIDE_RGB: Final = {
    Handedness.LEFT: (66, 135, 245),
    Handedness.RIGHT: (240, 140, 40),
    Handedness.UNKNOWN: (150, 150, 150),
}
SURE_MM, UNSURE_MM = 5.0, 30.0
SURE_RGB = np.array([40, 200, 90], np.float32)
UNSURE_RGB = np.array([230, 60, 40], np.float32)
MISSING_RGB: Final = (24, 24, 28)
# Near to far, with lightness falling evenly, so that it reads without color too.
_NEAR_TO_FAR: Final = np.array(
    [[252, 246, 190], [246, 196, 110], [222, 126, 90], [160, 72, 110], [88, 50, 110], [40, 36, 70]], np.float64
)


def error_colors(expected_error_mm: Array) -> Uint8:
    """Colors (N, 3) of joints: green where the error (N,) is expected to be small, red where it is large."""
    share = np.clip((np.asarray(expected_error_mm, np.float64) - SURE_MM) / (UNSURE_MM - SURE_MM), 0, 1)[:, None]
    return np.asarray(SURE_RGB * (1 - share) + UNSURE_RGB * share, np.uint8)


def depth_colors(depth_mm: Float32, near_mm: float, far_mm: float) -> Uint8:
    """Colors (..., 3) of depths (...), mm: light where near, dark where far; 0 has the color of what was not measured."""
    share = np.clip((depth_mm - near_mm) / max(far_mm - near_mm, 1.0), 0, 1)
    colors: Uint8 = _SHADES[(share * 255).astype(np.uint8)]
    colors[depth_mm <= 0] = MISSING_RGB
    return colors


def _shades() -> Uint8:
    """256 colors from near to far."""
    places = np.linspace(0, 1, 256)
    stops = np.linspace(0, 1, len(_NEAR_TO_FAR))
    shades: Float64 = np.stack([np.interp(places, stops, _NEAR_TO_FAR[:, one]) for one in range(3)], axis=1)
    return shades.astype(np.uint8)


_SHADES: Final = _shades()
