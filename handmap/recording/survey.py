"""The first messages of every topic that can matter: what a bag is read by is chosen from these alone."""

import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from handmap.recording.bag_file import Message, Topic
from handmap.recording.bag_files import BagFiles, decode
from handmap.recording.ros_messages import (
    CAMERA_INFO,
    COMPRESSED_IMAGE,
    IMAGE,
    SDK_UNIT_SUFFIXES,
    UNIT_TOPIC,
    has_matrix,
)

SAMPLE: Final = 32  # frames that clock and period are judged by
MAX_INFOS: Final = 300  # ten seconds in which a driver has yet to learn its calibration


@dataclass(frozen=True)
class Survey:
    """Topics; first message of each image and unit topic, first valid one (else the first) of each camera info; times.

    stamps_ns are of the headers, log_ns of recording, of the first frames of each image topic. unread is why a topic's
    messages could not be decoded.
    """

    topics: tuple[Topic, ...]
    first: dict[str, Any] = field(default_factory=dict)
    stamps_ns: dict[str, list[int]] = field(default_factory=dict)
    log_ns: dict[str, list[int]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)

    def of_type(self, *types: str) -> list[Topic]:
        """The topics of these types that have messages."""
        return [one for one in self.topics if one.msgtype in types and one.count]

    def type_of(self, name: str) -> str:
        """The message type of a topic."""
        return next(one.msgtype for one in self.topics if one.name == name)


def survey_bag(files: BagFiles) -> Survey:
    """Reads no further than needed."""
    survey = Survey(files.topics)
    wanted = {one.name: min(one.count, SAMPLE) for one in survey.of_type(IMAGE, COMPRESSED_IMAGE)}
    wanted |= {one.name: min(one.count, MAX_INFOS) for one in survey.of_type(CAMERA_INFO)}
    wanted |= {one.name: 1 for one in survey.topics if is_unit(one.name) and one.count}
    seen: Counter[str] = Counter()
    for message in files.messages(frozenset(wanted)) if wanted else ():
        seen[message.topic] += 1
        if seen[message.topic] <= wanted[message.topic]:
            _note(survey, message)
            if message.msgtype == CAMERA_INFO and has_matrix(survey.first.get(message.topic)):
                wanted[message.topic] = 0
        if all(seen[name] >= count for name, count in wanted.items()):
            break
    return survey


def is_unit(topic: str) -> bool:
    """Whether a topic states the depth unit: ours, or an option that the RealSense SDK records."""
    return topic == UNIT_TOPIC or topic.endswith(SDK_UNIT_SUFFIXES)


def stamp_ns(message: Message) -> int:
    """The time in the message's header, ns, without decoding the rest."""
    if message.encoding == "ros1":
        seconds, nanoseconds = struct.unpack_from("<II", message.data, 4)
    else:
        seconds, nanoseconds = struct.unpack_from(f"{'<' if message.data[1] & 1 else '>'}iI", message.data, 4)
    return int(seconds) * 10**9 + int(nanoseconds)


def _note(survey: Survey, message: Message) -> None:
    topic = message.topic
    if message.msgtype in (IMAGE, COMPRESSED_IMAGE) and len(message.data) >= 12:
        survey.stamps_ns.setdefault(topic, []).append(stamp_ns(message))
        survey.log_ns.setdefault(topic, []).append(message.log_ns)
    if topic in survey.unread or (topic in survey.first and message.msgtype != CAMERA_INFO):
        return
    try:
        found = decode(message)
    except Exception as error:  # noqa: BLE001  the decoder can raise anything on another's bytes; only the chosen topic must be readable
        survey.unread[topic] = str(error) or type(error).__name__
        return
    if topic not in survey.first or has_matrix(found):
        survey.first[topic] = found
