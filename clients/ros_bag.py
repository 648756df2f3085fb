"""`handmap bridge ros`: hands as a ROS 2 bag, written while they arrive, or from packets that were received before."""

import time
from collections.abc import Iterable
from pathlib import Path

from handmap.client.session import Received
from handmap.protocol.fields import FrameOfReference
from handmap.recording.message_bag import MessageBag
from handmap.recording.ros_messages import FRAME_ID
from handmap.types.errors import ConfigError

from .hand_watch import Moment, moments_of
from .ros_hands import ros_messages


class HandBag:
    """A bag of hands: complete under its name if the `with` block succeeds, absent otherwise.

    frame_id names the frame of the joints; without one it is the depth camera's. epoch_offset_ns makes CLOCK_MONOTONIC times since the epoch.
    """

    def __init__(self, path: Path, frame_id: str | None = None, epoch_offset_ns: int | None = None) -> None:
        self._bag = MessageBag(path)
        self._frame_id = frame_id
        self._epoch_offset_ns = time.time_ns() - time.monotonic_ns() if epoch_offset_ns is None else epoch_offset_ns

    def __enter__(self) -> "HandBag":
        self._bag.__enter__()
        return self

    def take(self, moment: Moment) -> None:
        """Adds what there is to say about this moment."""
        log_ns = moment.now_ns + self._epoch_offset_ns
        frame_id = frame_id_of(moment, self._frame_id)
        for one in ros_messages(self._bag, moment, frame_id, self._epoch_offset_ns):
            self._bag.put(one.topic, one.msgtype, log_ns, one.message)

    def __exit__(self, *error: object) -> None:
        self._bag.__exit__(*error)  # type: ignore[arg-type]  # as they came


def write_hands(
    path: Path, packets: Iterable[Received], frame_id: str | None = None, epoch_offset_ns: int | None = None
) -> None:
    """Writes packets that were received, in their order, as a bag: complete under its name, or absent after an error.

    Raises RecordingError if the path is taken or the disk is full, ConfigError if the joints are in a frame of the user's that
    frame_id does not name.
    """
    with HandBag(path, frame_id, epoch_offset_ns) as bag:
        for moment in moments_of(packets):
            bag.take(moment)


def frame_id_of(moment: Moment, stated: str | None) -> str:
    """The name of the frame that the joints come in. Raises ConfigError if it is the user's and has not been stated."""
    is_theirs = any(seen is not None and seen.frame is FrameOfReference.CONFIGURED for seen in moment.hands.values())
    if is_theirs and stated is None:
        raise ConfigError(
            "bridge: the joints come in the frame of publish.frame, whose name is not in a packet; state it with --frame-id"
        )
    return stated or FRAME_ID
