"""What the numbers of a label can be, in whatever file they are."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from handmap.types.arrays import Float32, Float64

MAX_VALUE: Final = 1e5  # pixels or mm: no image or room is that large
MIN_DEPTH_MM: Final = 10.0  # no depth camera sees a hand that near; smaller numbers are meters


class DepthFault(NamedTuple):
    """What was found among the depths of a label, as a clause."""

    found: str
    are_meters: bool = False


def depth_fault(z_mm: Float32 | Float64, names: Sequence[str]) -> DepthFault | None:
    """What is wrong with the depths (J,) of labeled points, away from the camera; names says which points they are."""
    if len(z_mm) == 0:
        return None
    place = int(np.argmin(z_mm))
    nearest_mm = float(z_mm[place])
    if nearest_mm >= MIN_DEPTH_MM:
        return None
    found = f"found {names[place]} at a depth of {nearest_mm:g} mm"
    if nearest_mm <= 0:
        return DepthFault(f"{found}, which is not in front of the camera")
    if z_mm.max() < MIN_DEPTH_MM:
        return DepthFault(f"{found} and nothing beyond {MIN_DEPTH_MM:g} mm, which looks like meters", are_meters=True)
    return DepthFault(f"{found}, which is nearer than a depth camera sees")
