"""From what the network says of a crop to joints in the camera frame with the error each is expected to have."""

import numpy as np

from handmap.arrays import Array, ArrayModule, Float32
from handmap.bundle import ConfidenceTable
from handmap.crop import denormalise_points
from handmap.values import JointsNormalised, View


def decode(xp: ArrayModule, joints: JointsNormalised, view: View, table: ConfidenceTable) -> tuple[Float32, Float32]:
    """Joints (J, 3) in the camera frame and their expected errors (J,), both mm, on the host, of what was seen in a view."""
    xyz_mm = denormalise_points(xp, joints.xyz, view)
    landed = guidance_at_joints(xp, joints)
    return _to_host(xyz_mm), expected_error_mm(_to_host(landed), table)


def guidance_at_joints(xp: ArrayModule, joints: JointsNormalised) -> Array:
    """The value (J,) of each joint's own guidance map in the cell where the joint landed; 0 outside the map.

    A network that is sure of a joint has put it where its map peaks (1); one that guesses lands low on it.
    A model without maps gives 0 everywhere: its table then holds the one error that it has.
    """
    count = joints.xyz.shape[0]
    if joints.guidance is None:
        return xp.zeros(count, xp.float32)
    size = joints.guidance.shape[-1]
    cell = xp.floor((joints.xyz[:, :2] + 1) * np.float32(size / 2)).astype(xp.int32)  # (J, 2) column, row
    inside = ((cell >= 0) & (cell < size)).all(axis=1)
    column, row = xp.clip(cell, 0, size - 1).T
    return xp.where(inside, joints.guidance[xp.arange(count), row, column], np.float32(0))


def hand_peak(xp: ArrayModule, joints: JointsNormalised) -> float:
    """Mean over joints of the highest value of each one's guidance map; 0 without maps.

    On hands it tells better than the landed values whether there is a hand at all: a hidden joint lands low on a high map.
    """
    if joints.guidance is None:
        return 0.0
    return float(joints.guidance.reshape(joints.guidance.shape[0], -1).max(axis=1).mean())


def hand_confidence(peak: float, table: ConfidenceTable) -> float:
    """The probability that a cube with this `hand_peak` shows a hand, between the table's rows by linear interpolation."""
    return float(np.interp(peak, table.hand_peak, table.hand_probability))


def expected_error_mm(guidance: Float32, table: ConfidenceTable) -> Float32:
    """Expected errors (J,) in mm of guidance values (J,), between the table's rows by linear interpolation."""
    return np.interp(guidance, table.guidance, table.expected_error_mm).astype(np.float32)


def _to_host(array: Array) -> Float32:
    # CuPy arrays bring themselves over with get(); NumPy's are there already.
    host: Float32 = array.get() if hasattr(array, "get") else np.asarray(array)
    return host.astype(np.float32, copy=False)
