"""Whether a recording's depth can show hands at all; where it cannot, the unit is the first suspect."""

from typing import Final

import numpy as np

from handmap.recording.reader import Recording
from handmap.types.arrays import Uint16

RANGE_MM: Final = (150.0, 1000.0)  # where hands in front of a camera are
SAMPLE_FRAMES: Final = 10
MIN_SHARE: Final = 0.002  # of the measured pixels; a hand at 1 m covers ten times that


def why_no_hand(recording: Recording) -> str | None:
    """A clause that says what was measured, if in none of some frames there is anything where hands are."""
    stride = max(len(recording) // SAMPLE_FRAMES, 1)
    shown = [frame.depth[::4, ::4] for number, frame in enumerate(recording) if number % stride == 0]
    return describe_range(shown, recording.depth_unit_mm)


def describe_range(images: list[Uint16], unit_mm: float) -> str | None:
    """See `why_no_hand`; the images are depth in steps of unit_mm."""
    measured_mm = [image[image > 0] * unit_mm for image in images]
    shares = [float(((one >= RANGE_MM[0]) & (one <= RANGE_MM[1])).mean()) if one.size else 0.0 for one in measured_mm]
    if any(share >= MIN_SHARE for share in shares):
        return None
    every_mm = np.concatenate(measured_mm) if measured_mm else np.zeros(0)
    if not every_mm.size:
        return "no pixel was measured: the lens was covered, or this is no depth"
    low_mm, high_mm = np.percentile(every_mm, (5, 95))
    return (
        f"nothing is between {RANGE_MM[0]:.0f} and {RANGE_MM[1]:.0f} mm, depth is from {low_mm:.0f} to {high_mm:.0f} mm at "
        f"{unit_mm:g} mm a step; if that is wrong, state the unit with --depth-unit-mm (in a configuration: "
        "camera.depth_unit_mm)"
    )
