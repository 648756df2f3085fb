"""`handmap bridge hts`: hands as the text of Hand Tracking Streamer, which hand-tracking-sdk (PyPI) and its tools read.

Two lines a hand, in Unity's axes and meters: the wrist's pose, and the 21 joints as seen from the wrist. The order of the joints is hand21.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np

from handmap.skeleton.orientation import HAND21_OF_XR26, WRIST, quaternions_of

from .hand_watch import SIDES, Moment
from .unity_space import unity_positions_m, unity_rotations
from .xr_joints import axes_of, xr_hand

HTS_PORT: Final = 9000
_HAND21: Final = np.array([list(HAND21_OF_XR26).index(joint) for joint in range(21)])


def hts_datagrams(moment: Moment, frame: int, axes: str | None = None) -> list[bytes]:
    """One datagram for each hand that is not lost; the format cannot say that a hand is lost, so there is none for that.

    Its lines carry the number of the frame and the time of the joints, ns, where the format has a place for them.
    """
    datagrams = []
    for side in SIDES:
        seen = moment.hands[side]
        if seen is None or seen.hand.skeleton is None:
            continue
        joints = xr_hand(seen.hand, seen.is_live, axes_of(seen.frame, axes))
        positions, wrist = unity_positions_m(joints), unity_rotations(joints)[WRIST]
        from_wrist = (positions[_HAND21] - positions[WRIST]) @ wrist  # row vectors: the inverse turn
        name, note = side.name.capitalize(), f" | f={frame} | t={seen.sender_ns}"
        lines = [
            f"{name} wrist{note}:, {_text([*positions[WRIST], *quaternions_of(wrist)])}",
            f"{name} landmarks{note}:, {_text(from_wrist.ravel())}",
        ]
        datagrams.append("\n".join(lines).encode("ascii"))
    return datagrams


def _text(values: Iterable[float]) -> str:
    return ", ".join(f"{value + 0.0:.6f}" for value in values)
