"""How a network behaves on crops, whatever its tensors are called: refuses one in train mode, and joints in another unit."""

from collections.abc import Callable
from typing import Final

import numpy as np

from handmap.types.arrays import Float32
from handmap.types.errors import ModelError

SAME_MM: Final = 0.05  # between two runs on the same crop; rounding is a thousandth of it
MAX_HALF_CUBES: Final = 4.0  # median over crops of the farthest joint; about 1 for hands
FEW: Final = 4


def refuse_misbehavior(run: Callable[[Float32], Float32], depth: Float32, half_cube_mm: float, name: str) -> None:
    """Raises ModelError if the joints (N, 21, 3) that `run` gives for depth (N, 1, 128, 128) cannot be those of a trained network."""
    joints = run(depth)
    if not np.isfinite(joints).all():
        raise ModelError(
            f"network {name!r}: its joints are not finite on {len(depth)} crops of the samples; look for weights or operations that "
            "overflow, and for a network that was never trained"
        )
    apart_mm = float(np.abs(run(depth[:FEW]) - joints[:FEW]).max()) * half_cube_mm
    if not apart_mm <= SAME_MM:
        raise ModelError(
            f"network {name!r}: its joints for the same crop change by {apart_mm:.1f} mm with the other crops of the batch, or from one "
            "call to the next: it is in train mode; call network.eval() before torch.export.export"
        )
    farthest = float(np.median(np.abs(joints).max(axis=(1, 2))))
    if not farthest <= MAX_HALF_CUBES:
        raise ModelError(
            f"network {name!r}: its farthest joint is {farthest:.0f} half cube sides from the center of the crop (median), wanted about "
            f"1; they look like mm: divide them by half the cube's side, {half_cube_mm:g}, in the network, "
            "or correct normalisation in the model facts if it is not what the network was trained with"
        )
