"""The degrees of freedom of the hand inside itself: names, signs and limits of 22 angles in rad. docs/skeleton.md shows them.

Flexion bends towards the palm, splay turns towards the thumb's side, twist turns right-handedly about the bone from its base to
its tip on a right hand. A left hand is the mirror image of a right one and has the same angles. Zero is the straight finger, on
one line with its metacarpal; for the thumb's base it is the rest shape.
Limits are the norms of the American Academy of Orthopaedic Surgeons (Joint Motion, 1965: fingers MCP -45..90, PIP 0..100, DIP
0..90, abduction 20; thumb CMC -20..15 and 70 of abduction, MCP 0..50, IP -20..80 degrees), widened to the range of the hands
that the network is trained with wherever that is larger; hyperextension of knuckles ends at 30, which is as far as they go actively.
"""

from typing import Final

import numpy as np

from handmap.types.arrays import Float64
from handmap.types.joints import FINGERS

_OF_FINGER: Final = (
    ("mcp_flexion", -30, 95),
    ("mcp_splay", -25, 25),
    ("pip_flexion", -5, 112),
    ("dip_flexion", -10, 90),
)
_WITH_LIMITS: Final = (
    ("palm_arch", 0, 16),
    ("thumb_cmc_flexion", -30, 57),
    ("thumb_cmc_splay", -34, 34),
    ("thumb_cmc_twist", -14, 30),
    ("thumb_mcp_flexion", -14, 58),
    ("thumb_ip_flexion", -25, 85),
    *((f"{finger}_{name}", low, high) for finger in FINGERS[1:] for name, low, high in _OF_FINGER),
)

ANGLE_NAMES: Final = tuple(name for name, _, _ in _WITH_LIMITS)
ANGLE_COUNT: Final = len(ANGLE_NAMES)
MIN_ANGLES: Final[Float64] = np.radians([float(low) for _, low, _ in _WITH_LIMITS])
MAX_ANGLES: Final[Float64] = np.radians([float(high) for _, _, high in _WITH_LIMITS])
ARCH: Final = 0
THUMB: Final = slice(1, 6)
FOUR_FINGERS: Final = slice(6, ANGLE_COUNT)  # four angles each, index to little
