"""`handmap bridge isaac`: hands as IsaacTeleop records and replays them: an MCAP file with a HandPoseRecord of each hand in each moment.

A record is a FlatBuffer: 26 OpenXR joints with pose, validity and radius, and three times. IsaacTeleop takes live hands only through
an OpenXR runtime, from plug-ins in C++; a replayed file goes through the same trackers.
"""

import struct
from pathlib import Path
from typing import Final

import numpy as np

from handmap.recording.message_file import MessageFile
from handmap.skeleton.orientation import XR26
from handmap.types.values import Handedness

from .flat_buffers import Struct, Table, flat_buffer
from .hand_watch import Moment, SeenHand
from .isaac_schema import RECORD_NAME, record_schema
from .xr_joints import axes_of, xr_hand

ENCODING: Final = "flatbuffer"
TOPICS: Final = {Handedness.LEFT: "hands/left_hand", Handedness.RIGHT: "hands/right_hand"}
_JOINT: Final = np.dtype(
    [("position", "<f4", 3), ("orientation", "<f4", 4), ("is_valid", "u1"), ("_", "u1", 3), ("radius", "<f4")]
)
_JOINTS_ALIGN, _TIMES_ALIGN = 4, 8


def hand_record(seen: SeenHand | None, now_ns: int, axes: str | None = None) -> bytes:
    """The HandPoseRecord of a hand; that of a lost one, or of one without orientations, has no data.

    A joint is valid if it was measured just now: not the five that are placed by proportion, and none of a hand that is held.
    Times are ns: when it was available and when it was captured, CLOCK_MONOTONIC of this machine, and captured by the sender's clock.
    """
    if seen is None or seen.hand.skeleton is None:
        return flat_buffer(Table({1: _times(now_ns, now_ns, 0)}))
    joints = xr_hand(seen.hand, seen.is_live, axes_of(seen.frame, axes))
    content = np.zeros(len(XR26), _JOINT)
    content["position"], content["orientation"] = joints.positions_m, joints.quaternions
    content["is_valid"], content["radius"] = joints.is_tracked, joints.radii_m
    pose = Table({0: Struct(content.tobytes(), _JOINTS_ALIGN)})
    return flat_buffer(Table({0: pose, 1: _times(now_ns, seen.sample_ns, seen.sender_ns)}))


class IsaacFile:
    """A folder with the file hands.mcap in it: complete if the `with` block succeeds, absent otherwise."""

    def __init__(self, folder: Path, axes: str | None = None) -> None:
        self._file = MessageFile(folder, "hands.mcap")
        self._axes = axes

    def __enter__(self) -> "IsaacFile":
        self._stream = stream = self._file.__enter__()
        schema = stream.add_schema(RECORD_NAME, ENCODING, record_schema())
        self._channels = {side: stream.add_channel(topic, ENCODING, schema) for side, topic in TOPICS.items()}
        return self

    def take(self, moment: Moment) -> None:
        """Adds a record of each hand."""
        for side, channel in self._channels.items():
            record = hand_record(moment.hands[side], moment.now_ns, self._axes)
            self._stream.add_message(channel, moment.now_ns, record)

    def __exit__(self, *error: object) -> None:
        self._file.__exit__(*error)


def _times(available_ns: int, sample_ns: int, device_ns: int) -> Struct:
    return Struct(struct.pack("<qqq", available_ns, sample_ns, device_ns), _TIMES_ALIGN)
