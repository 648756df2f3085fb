"""The joint order of this project, `hand21`, and its bones. Other orders map to it, never the other way."""

from typing import Final

FINGERS: Final = ("thumb", "index", "middle", "ring", "little")

HAND21: Final[tuple[str, ...]] = (
    "wrist",
    *("thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip"),
    *("index_mcp", "index_pip", "index_dip", "index_tip"),
    *("middle_mcp", "middle_pip", "middle_dip", "middle_tip"),
    *("ring_mcp", "ring_pip", "ring_dip", "ring_tip"),
    *("little_mcp", "little_pip", "little_dip", "little_tip"),
)
JOINT_COUNT: Final = len(HAND21)
WRIST: Final = 0
MIDDLE_MCP: Final = HAND21.index("middle_mcp")
KNUCKLES: Final = tuple(HAND21.index(f"{finger}_mcp") for finger in FINGERS)
FINGERTIPS: Final = tuple(HAND21.index(f"{finger}_tip") for finger in FINGERS)

# Parent of each joint; -1 for the wrist, which is the root. Twenty bones.
PARENTS: Final = (-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19)
BONES: Final = tuple((parent, child) for child, parent in enumerate(PARENTS) if parent >= 0)
