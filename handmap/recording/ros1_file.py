"""Reads one .bag file of ROS 1 or of the RealSense SDK."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rosbags.rosbag1 import Reader, ReaderError

from handmap.recording.bag_file import Message, Topic
from handmap.types.errors import RecordingError

MAGIC: Final = b"#ROSBAG V2.0"


class Ros1File:
    """An open .bag file."""

    def __init__(self, path: Path) -> None:
        self._reader = Reader(path)
        try:
            self._reader.open()
        except ReaderError as error:
            raise RecordingError(
                f"recording {str(path)!r}: its index cannot be read ({str(error).rstrip('.')}), so its recorder was killed or the file was cut "
                f"short; copy it again, or write its index with ROS 1: rosbag reindex {shlex.quote(str(path))}"
            ) from error

    @property
    def topics(self) -> tuple[Topic, ...]:
        """See `BagFile`."""
        return tuple(Topic(one.topic, one.msgtype, "ros1", one.msgcount) for one in self._reader.connections)

    def messages(self, topics: frozenset[str]) -> Iterator[Message]:
        """See `BagFile`."""
        wanted = [one for one in self._reader.connections if one.topic in topics]
        if wanted:
            for found, log_ns, data in self._reader.messages(wanted):
                yield Message(found.topic, found.msgtype, "ros1", log_ns, bytes(data))

    def close(self) -> None:
        """See `BagFile`."""
        self._reader.close()
