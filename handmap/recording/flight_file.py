"""What the flight recorder writes and replay reads: a bag of depth frames, with what the daemon made of each on topics of our own.

Foxglove and any ROS 2 tool show its depth and its log; `Bag` reads its frames as it does those of other recordings.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from handmap.files.reading import NotJson, decode_json
from handmap.recording.bag import Bag
from handmap.recording.bag_files import BagFiles
from handmap.recording.flight_records import FORMAT, About, ConfigText, FlightFrame, LogLine
from handmap.recording.writer import RecordingWriter
from handmap.types.errors import RecordingError
from handmap.types.values import DepthFrame, TimestampSource

ABOUT_TOPIC: Final = "/handmap/flight/about"
FRAME_TOPIC: Final = "/handmap/flight/frame"
PACKET_TOPIC: Final = "/handmap/flight/packet"
CONFIG_TOPIC: Final = "/handmap/flight/config"
LOG_TOPIC: Final = "/rosout"
_TEXT: Final = "std_msgs/msg/String"
_LOG: Final = "rcl_interfaces/msg/Log"
_FRAME: Final = "handmap_msgs/msg/FlightFrame"
_PACKET: Final = "handmap_msgs/msg/FlightPacket"
DEFINITIONS: Final = {
    _FRAME: "std_msgs/Header header\nuint64 frame_number\nint64 capture_ns\nuint8 timestamp_source\nuint8[] tracker_state\n",
    _PACKET: "std_msgs/Header header\nuint64 frame_number\nint64 publish_ns\nuint8[] data\n",
}


class FlightWriter(RecordingWriter):
    """Writes one snapshot: complete under its name if the `with` block succeeds, absent otherwise.

    All times become ROS stamps by epoch_offset_ns. Raises RecordingError if the path is taken or the disk is full.
    """

    mode = 0o700  # it holds depth images that nobody chose to record

    def __init__(self, path: Path, first: DepthFrame, epoch_offset_ns: int) -> None:
        super().__init__(path, first.intrinsics, first.depth_unit_mm, epoch_offset_ns)
        self._store = flight_store()

    def __enter__(self) -> "FlightWriter":
        super().__enter__()
        return self

    def write_about(self, about: About) -> None:
        """Adds what the snapshot says of itself."""
        self._put(ABOUT_TOPIC, _TEXT, about.time_ns + self._epoch_offset_ns, data=msgspec.json.encode(about).decode())

    def write_flight(self, seen: FlightFrame) -> None:
        """Adds a frame of any intrinsics, and what was published for it."""
        frame = seen.frame
        self._intrinsics = frame.intrinsics
        self.write(frame)
        stamp_ns = frame.capture_ns + self._epoch_offset_ns
        self._put(
            FRAME_TOPIC, _FRAME, stamp_ns, header=self._header(stamp_ns), frame_number=frame.frame_number,
            capture_ns=frame.capture_ns, timestamp_source=int(frame.timestamp_source),
            tracker_state=np.frombuffer(seen.state, np.uint8),
        )  # fmt: skip
        for data in seen.packets:  # stamped as their frame: readers sort by stamps
            self._put(
                PACKET_TOPIC, _PACKET, stamp_ns, header=self._header(stamp_ns), frame_number=frame.frame_number,
                publish_ns=seen.publish_ns, data=np.frombuffer(data, np.uint8),
            )  # fmt: skip

    def write_config(self, config: ConfigText) -> None:
        """Adds a configuration."""
        self._put(CONFIG_TOPIC, _TEXT, config.time_ns + self._epoch_offset_ns, data=config.text)

    def write_log(self, line: LogLine) -> None:
        """Adds a line of the log, where ROS tools look for one."""
        stamp_ns = line.time_ns + self._epoch_offset_ns
        self._put(
            LOG_TOPIC, _LOG, stamp_ns, stamp=self._header(stamp_ns).stamp, level=line.level, name=line.name, msg=line.text,
            file="", function="", line=0,
        )  # fmt: skip


@cache
def flight_store() -> Any:
    """The types of ROS, and ours."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    for name, definition in DEFINITIONS.items():
        store.register(get_types_from_msg(definition, name))
    return store


def is_flight(bag: Bag) -> bool:
    """Whether the flight recorder wrote it."""
    return any(topic.name == FRAME_TOPIC for topic in bag.survey.topics)


class FlightFile:
    """A snapshot that was written; each iteration reads it from the beginning."""

    def __init__(self, bag: Bag) -> None:
        self.path = bag.path
        self._bag = bag
        texts: dict[str, list[str]] = {ABOUT_TOPIC: [], CONFIG_TOPIC: []}
        for topic, message in self._messages(frozenset(texts)):
            texts[topic].append(message.data)
        self.about = self._read_about(texts[ABOUT_TOPIC])
        self.configs = tuple(texts[CONFIG_TOPIC])

    def __iter__(self) -> Iterator[FlightFrame]:
        facts = list(self._facts())
        if len(facts) != len(self._bag):
            raise self._refusal(f"{len(self._bag)} depth images and the facts of {len(facts)}")
        for frame, seen in zip(self._bag, facts, strict=True):
            fact, packets, publish_ns = seen
            frame = replace(
                frame, frame_number=int(fact.frame_number), capture_ns=int(fact.capture_ns),
                timestamp_source=TimestampSource(int(fact.timestamp_source)),
            )  # fmt: skip
            yield FlightFrame(frame, fact.tracker_state.tobytes(), packets, publish_ns)

    def states(self) -> Iterator[bytes]:
        """The encoded states of the tracker that are in it."""
        return (fact.tracker_state.tobytes() for fact, _, _ in self._facts() if len(fact.tracker_state))

    def logs(self) -> list[LogLine]:
        """The lines of the log, with times as ROS stamps."""
        return [
            LogLine(one.stamp.sec * 10**9 + one.stamp.nanosec, one.level, one.name, one.msg)
            for _, one in self._messages(frozenset({LOG_TOPIC}))
        ]

    def _facts(self) -> Iterator[tuple[Any, tuple[bytes, ...], int]]:
        """Of each frame its own message, its packets and when they were published."""
        frame: Any = None
        packets: list[bytes] = []
        publish_ns = 0
        for topic, message in self._messages(frozenset({FRAME_TOPIC, PACKET_TOPIC})):
            if topic == PACKET_TOPIC:
                packets.append(message.data.tobytes())
                publish_ns = int(message.publish_ns)
                continue
            if frame is not None:
                yield frame, tuple(packets), publish_ns
            frame, packets, publish_ns = message, [], 0
        if frame is not None:
            yield frame, tuple(packets), publish_ns

    def _messages(self, topics: frozenset[str]) -> Iterator[tuple[str, Any]]:
        store = flight_store()
        with BagFiles(self.path) as files:
            for message in files.messages(topics):
                yield message.topic, store.deserialize_cdr(message.data, message.msgtype)

    def _read_about(self, texts: list[str]) -> About:
        try:
            about = decode_json(texts[0] if texts else "", About)
        except NotJson as error:
            raise self._refusal(str(error)) from error
        if about.format != FORMAT:
            raise RecordingError(
                f"snapshot {str(self.path)!r}: found format {about.format}, this program reads {FORMAT}; use the version of HandMap "
                f"that wrote it, {about.version}"
            )
        return about

    def _refusal(self, found: str) -> RecordingError:
        return RecordingError(
            f"snapshot {str(self.path)!r} is not as the flight recorder writes them ({found}); it was damaged, copy it again"
        )
