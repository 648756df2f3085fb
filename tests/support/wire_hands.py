"""Hands for tests of what bridges write: rows of docs/skeleton_golden.json as they come over the wire, and moments that hold them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from clients.hand_watch import Moment, SeenHand
from handmap.protocol.fields import FrameOfReference, HandFlags
from handmap.protocol.packet import PacketHand
from handmap.protocol.skeleton_block import ORIENTED, HandSkeleton
from handmap.skeleton.orientation import HAND21_OF_XR26
from handmap.types.values import Handedness

ROOT = Path(__file__).resolve().parents[2]
LEFT, RIGHT = Handedness.LEFT, Handedness.RIGHT
NOW_NS = 5_000_000_000
SAMPLE_NS = 4_990_000_000
_ORIENTED26 = [list(HAND21_OF_XR26).index(joint) for joint in ORIENTED]


@cache
def golden_rows() -> list[dict[str, Any]]:
    """The rows of the table."""
    rows: list[dict[str, Any]] = json.loads((ROOT / "docs/skeleton_golden.json").read_text())["rows"]
    return rows


def golden_row(pose: str, turn: str, side: str) -> dict[str, Any]:
    """One row."""
    wanted = (pose, turn, side)
    return next(row for row in golden_rows() if (row["pose"], row["turn"], row["side"]) == wanted)


def wire_hand(row: dict[str, Any], *, has_skeleton: bool = True) -> PacketHand:
    """The hand of a row."""
    quaternions = np.array(row["quaternions"], np.float32)[_ORIENTED26]
    angles = np.array(row["angles"], np.float32)
    skeleton = HandSkeleton(
        quaternions, angles, np.zeros(4, np.float32), np.zeros(4, bool), row["grasp_closure"], 0.18, 0.002, True
    )
    return PacketHand(
        xyz_m=(np.array(row["hand21_mm"]) / 1000).astype(np.float32),
        expected_error_m=np.full(21, 0.004, np.float32),
        track_id=7 if row["side"] == "left" else 8,
        handedness=LEFT if row["side"] == "left" else RIGHT,
        handedness_confidence=0.99,
        confidence=0.95,
        flags=HandFlags.VALID | HandFlags.TRACKED,
        skeleton=skeleton if has_skeleton else None,
    )


def seen(row: dict[str, Any], *, is_live: bool = True, has_skeleton: bool = True) -> SeenHand:
    """The hand of a row as a bridge gets it."""
    hand = wire_hand(row, has_skeleton=has_skeleton)
    return SeenHand(hand, SAMPLE_NS, SAMPLE_NS, is_live, FrameOfReference.CAMERA)


def moment(*hands: SeenHand, now_ns: int = NOW_NS) -> Moment:
    """A moment with these hands; the other side is lost."""
    shown = {one.hand.handedness: one for one in hands}
    return Moment(now_ns, {LEFT: shown.get(LEFT), RIGHT: shown.get(RIGHT)})
