"""`handmap bridge openxr`: the 26 joints of each hand as lines of JSON, with the flags of XrHandJointLocationEXT."""

import json
from typing import Any, Final

import numpy as np

from .hand_watch import SIDES, Moment
from .xr_joints import XrHand, axes_of, xr_hand

XR_PORT: Final = 5657
# XrSpaceLocationFlags
ORIENTATION_VALID: Final = 1
POSITION_VALID: Final = 2
ORIENTATION_TRACKED: Final = 4
POSITION_TRACKED: Final = 8


def xr_line(moment: Moment, axes: str | None = None) -> str:
    """One line of JSON: of each hand whether it is active, and if it is, its joints in the order XR26.

    Positions and radii are in meters, orientations as x, y, z, w; time_ns is CLOCK_MONOTONIC of this machine.
    """
    hands: dict[str, Any] = {}
    for side in SIDES:
        seen = moment.hands[side]
        if seen is None:
            hands[side.name.lower()] = {"is_active": False}
            continue
        joints = xr_hand(seen.hand, seen.is_live, axes_of(seen.frame, axes))
        hands[side.name.lower()] = {
            "is_active": True,
            "time_ns": seen.sample_ns,
            "location_flags": location_flags(joints),
            "positions_m": _rounded(joints.positions_m),
            "orientations": _rounded(joints.quaternions) if joints.has_orientation else None,
            "radii_m": _rounded(joints.radii_m),
        }
    return json.dumps({"now_ns": moment.now_ns, **hands})


def location_flags(joints: XrHand) -> list[int]:
    """The flags of each joint: valid is what may be read, tracked is what was measured just now."""
    valid = POSITION_VALID | (ORIENTATION_VALID if joints.has_orientation else 0)
    tracked = POSITION_TRACKED | (ORIENTATION_TRACKED if joints.has_orientation else 0)
    return [valid | tracked if is_tracked else valid for is_tracked in joints.is_tracked]


def _rounded(values: Any) -> Any:
    return np.round(values.astype(np.float64), 6).tolist()
