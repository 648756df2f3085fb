"""The robot hands that `handmap robot` knows: which links of each are which joints of a person's hand.

Every hand's root link has its z axis along the fingers and its x axis out of the palm, as in the URDFs of dex-urdf.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from handmap.types.arrays import Float64
from handmap.types.errors import ConfigError
from handmap.types.values import Handedness

from .plain_hand import FOLDER
from .urdf import Urdf, read_urdf

Chain = tuple[tuple[str, str], ...]  # (joint of hand21, link of the robot), from the palm outwards


@dataclass(frozen=True)
class RobotHand:
    """A kind of hand on one side: the links of each finger that stand for a person's joints; the origin of a link is its joint.

    finger_chains has the thumb first; a finger that the robot lacks is left out.
    """

    name: str
    side: Handedness
    finger_chains: tuple[Chain, ...]


@dataclass(frozen=True)
class LoadedHand:
    """A hand with the URDF that has its links."""

    hand: RobotHand
    urdf: Urdf


PLAIN: Final = "plain"
SHOWN_LINKS: Final = 4  # of those that a URDF lacks
MIN_COSINE: Final = 0.87  # of the angle between z and the fingers: 30 degrees


def _chain(finger: str, joints: str, links: str) -> Chain:
    return tuple((f"{finger}_{joint}", link) for joint, link in zip(joints.split(), links.split(), strict=True))


def _plain(side: Handedness) -> RobotHand:
    thumb = _chain("thumb", "cmc mcp ip tip", "thumb_metacarpal thumb_proximal thumb_distal thumb_tip")
    fingers = tuple(
        _chain(name, "mcp pip dip tip", f"{name}_proximal {name}_middle {name}_distal {name}_tip")
        for name in ("index", "middle", "ring", "little")
    )
    return RobotHand(PLAIN, side, (thumb, *fingers))


def _inspire(side: Handedness) -> RobotHand:
    thumb = _chain("thumb", "cmc mcp ip tip", "thumb_proximal thumb_intermediate thumb_distal thumb_tip")
    fingers = tuple(
        _chain(name, "mcp pip tip", f"{link}_proximal {link}_intermediate {link}_tip")
        for name, link in (("index", "index"), ("middle", "middle"), ("ring", "ring"), ("little", "pinky"))
    )
    return RobotHand("inspire", side, (thumb, *fingers))


def _allegro(side: Handedness) -> RobotHand:
    """The left one has its fingers numbered from the other side."""
    thumb = _chain("thumb", "cmc mcp ip tip", "link_12.0 link_14.0 link_15.0 link_15.0_tip")
    firsts = (0, 4, 8) if side is Handedness.RIGHT else (8, 4, 0)
    fingers = tuple(
        _chain(name, "mcp pip dip tip", " ".join(f"link_{first + n}.0" for n in (1, 2, 3)) + f" link_{first + 3}.0_tip")
        for name, first in zip(("index", "middle", "ring"), firsts, strict=True)
    )
    return RobotHand("allegro", side, (thumb, *fingers))


def _leap(side: Handedness) -> RobotHand:
    """Its link `dip` begins at what is a person's PIP joint, and so on."""
    thumb = _chain("thumb", "cmc mcp ip tip", "thumb_pip thumb_dip thumb_fingertip thumb_tip_head")
    fingers = tuple(
        _chain(name, "mcp pip dip tip", f"mcp_joint{n} dip{n} fingertip{n} {name}_tip_head")
        for name, n in (("index", ""), ("middle", "_2"), ("ring", "_3"))
    )
    return RobotHand("leap", side, (thumb, *fingers))


HANDS: Final = {PLAIN: _plain, "inspire": _inspire, "allegro": _allegro, "leap": _leap}
SIDES: Final = {"left": Handedness.LEFT, "right": Handedness.RIGHT}


def load_hand(name: str, urdf_path: Path | None, side: Handedness | None) -> LoadedHand:
    """The hand of that name; without a side, of the side of the URDF, and a right one if there is neither.

    Raises ConfigError if the name is unknown, or the URDF is missing, of the other side or not that hand; FileError if it cannot be read.
    """
    if name not in HANDS:
        raise ConfigError(
            f"robot hand {name!r}: found no hand of that name, wanted one of {', '.join(HANDS)}; correct --hand"
        )
    if urdf_path is not None:
        urdf = read_urdf(urdf_path)
    elif name == PLAIN:
        urdf = read_urdf(FOLDER / f"plain_hand_{(side or Handedness.RIGHT).name.lower()}.urdf")
    else:
        raise ConfigError(f"robot hand {name!r}: found no URDF, wanted the one of that hand; name the file with --urdf")
    hand = HANDS[name](Handedness.RIGHT)
    missing = [link for chain in hand.finger_chains for _, link in chain if link not in urdf.links]
    if missing:
        shown = ", ".join(missing[:SHOWN_LINKS])
        shown += f" and {len(missing) - SHOWN_LINKS} more" if len(missing) > SHOWN_LINKS else ""
        raise ConfigError(
            f"robot hand {name!r}: found no link {shown} in {str(urdf.path)!r}, wanted the URDF of that hand; name another "
            "file with --urdf, or another --hand"
        )
    found = _thumb_side(hand, urdf)
    if side is not None and side is not found:
        raise ConfigError(
            f"robot hand {name!r}: found a {found.name.lower()} hand in {str(urdf.path)!r}, wanted a {side.name.lower()} one as --side "
            "says; name the other file with --urdf, or leave out --side"
        )
    loaded = LoadedHand(HANDS[name](found), urdf)
    _check_axes(loaded)
    return loaded


def _thumb_side(hand: RobotHand, urdf: Urdf) -> Handedness:
    """The side that a hand with this thumb is of: its links have the same names on both."""
    places = _places(hand, urdf, 0.0)
    y = [finger[0][1] for finger in places]
    return Handedness.RIGHT if y[0] > sum(y[1:]) / len(y[1:]) else Handedness.LEFT


def _check_axes(loaded: LoadedHand) -> None:
    """Raises ConfigError unless the fingers point along z and bend towards x, as vectors of a person's hand will."""
    straight, bent = (_places(loaded.hand, loaded.urdf, share)[1:] for share in (0.0, 0.5))
    along = np.mean([finger[-1] - finger[0] for finger in straight], axis=0)
    towards = np.mean([new[-1] - old[-1] for new, old in zip(bent, straight, strict=True)], axis=0)
    if along[2] < MIN_COSINE * np.linalg.norm(along) or towards[0] <= 0:
        raise ConfigError(
            f"robot hand {loaded.hand.name!r}: found fingers along {_axis(along)} that bend to {_axis(towards)} in "
            f"{str(loaded.urdf.path)!r}, wanted a root link with z along the fingers and x out of the palm; add such a link to the file"
        )


def _places(hand: RobotHand, urdf: Urdf, share: float) -> list[list[Float64]]:
    """Where the links of each finger are, m, with every joint this far from zero, or its nearest limit, to its upper limit."""
    angles = {}
    for name in urdf.driven:
        low, high = urdf.limits(name)
        start = min(max(0.0, low), high)
        angles[name] = start + share * (high - start)
    poses = urdf.link_poses(angles)
    return [[poses[link][:3, 3] for _, link in chain] for chain in hand.finger_chains]


def _axis(vector: Float64) -> str:
    """The name of the axis that a vector is nearest to."""
    number = int(np.argmax(np.abs(vector)))
    return f"{'-' if vector[number] < 0 else '+'}{'xyz'[number]}"
