"""Reads recordings: our own bags, those of realsense-ros and of the RealSense SDK, and folders of PNGs.

writer.py writes them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from handmap.recording.bag_topics import choose_depth, find_intrinsics, find_unit
from handmap.recording.datasets import LabeledFrame
from handmap.recording.png_folder import PngFolder, PngFolderConfig
from handmap.recording.ros_messages import JOINTS_TOPIC, depth_from_message, unpack_joints
from handmap.types.errors import RecordingError
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame, TimestampSource


class Recording(Protocol):
    """Depth frames in recorded order; every iteration starts from the beginning.

    capture_ns is the recorded time, on whatever clock was used.
    """

    path: Path
    intrinsics: Intrinsics
    depth_unit_mm: float
    fps: float

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[DepthFrame]: ...
    def endless(self) -> Iterator[DepthFrame]:
        """The frames in an endless loop, numbered from 0 each time; starting over causes no delay."""
        ...

    def labeled(self) -> Iterator[LabeledFrame]:
        """The labeled frames, with their labels."""
        ...


def open_recording(path: Path | str, topic: str | None = None, png_config: PngFolderConfig | None = None) -> Recording:
    """The recording at `path`: a bag (folder, .mcap, .db3, .bag) or a folder of PNGs; topic chooses among several
    depth topics.

    Raises RecordingError if it is absent, truncated, or has no readable depth.
    """
    path = Path(path)
    try:
        path.stat()
    except FileNotFoundError as error:
        raise RecordingError(
            f"recording {str(path)!r}: nothing is there; name a recording, or write one with: handmap record"
        ) from error
    except OSError as error:
        raise RecordingError(
            f"recording {str(path)!r} cannot be read ({error.strerror}); correct its path or its permissions"
        ) from error
    if path.is_dir() and not (path / "metadata.yaml").exists():
        if any(path.glob("*.mcap")) or any(path.glob("*.db3")):
            raise RecordingError(
                f"recording {str(path)!r}: metadata.yaml is missing, it was never finished; record it again, or repair "
                "it with: ros2 bag reindex"
            )
        return PngFolder(path, png_config)
    return Bag(path, topic)


class Bag:
    """A ROS 1 or ROS 2 bag; opened once for its facts, and again by each iteration."""

    def __init__(self, path: Path, topic: str | None) -> None:
        self.path = path
        try:
            with _open_reader(path) as reader:
                depth = choose_depth(reader, path, topic)
                self._topic = depth.topic
                self._length = sum(found.msgcount for found in reader.connections if found.topic == depth.topic)
                self._has_joints = any(found.topic == JOINTS_TOPIC for found in reader.connections)
                self.intrinsics = find_intrinsics(reader, path, depth.topic)
                self.depth_unit_mm = find_unit(reader, depth)
                self.fps = (
                    (self._length - 1) / (reader.duration / 1e9) if self._length > 1 and reader.duration > 1 else 30.0
                )
        except RecordingError:
            raise
        except Exception as error:  # the parsers can raise anything on damaged bytes
            raise _damaged(path, error) from error

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[DepthFrame]:
        with self._opened() as reader:
            yield from self._round(reader)

    def endless(self) -> Iterator[DepthFrame]:
        """See `Recording`: opening a bag takes two frames' time."""
        with self._opened() as reader:
            while True:
                yield from self._round(reader)

    def _round(self, reader: AnyReader) -> Iterator[DepthFrame]:
        number = 0
        for message, msgtype, _, log_ns in _messages(reader, (self._topic,)):
            yield self._frame(message, msgtype, number, log_ns)
            number += 1
        if number != self._length:
            raise RecordingError(
                f"recording {str(self.path)!r}: only {number} of {self._length} frames could be read; it was truncated, "
                "copy or record it again"
            )

    def labeled(self) -> Iterator[LabeledFrame]:
        """The labeled frames, with their labels.

        Raises RecordingError if the bag has no HandMap labels.
        """
        if not self._has_joints:
            raise RecordingError(
                f"recording {str(self.path)!r}: no joint labels on {JOINTS_TOPIC!r}; use a recording that `handmap "
                "synthesize` wrote"
            )
        frames: dict[int, DepthFrame] = {}
        labels: dict[int, Any] = {}
        number = 0
        with self._opened() as reader:
            for message, msgtype, topic, log_ns in _messages(reader, (self._topic, JOINTS_TOPIC)):
                stamp_ns = _stamp_ns(message, log_ns)
                if topic == JOINTS_TOPIC:
                    labels[stamp_ns] = unpack_joints(message.data, topic)
                else:
                    frames[stamp_ns] = self._frame(message, msgtype, number, log_ns)
                    number += 1
                if stamp_ns in frames and stamp_ns in labels:
                    yield LabeledFrame(frames[stamp_ns], *labels[stamp_ns])
                    frames.clear()  # frames without a label are skipped; labels come with their frame
                    labels.clear()

    def _frame(self, message: Any, msgtype: str, number: int, log_ns: int) -> DepthFrame:
        depth = depth_from_message(message, msgtype, self.depth_unit_mm, self._topic)
        wanted = (self.intrinsics.height_px, self.intrinsics.width_px)
        if depth.shape != wanted:
            raise RecordingError(
                f"recording {str(self.path)!r}: frame {number} has size {depth.shape}, its camera info says "
                f"{wanted}; use another depth topic"
            )
        return DepthFrame(
            depth, self.depth_unit_mm, self.intrinsics, number, _stamp_ns(message, log_ns), TimestampSource.RECORDING
        )

    @contextmanager
    def _opened(self) -> Iterator[AnyReader]:
        try:
            with _open_reader(self.path) as reader:
                yield reader
        except Exception as error:  # the parsers can raise anything on damaged bytes
            raise _damaged(self.path, error) from error


def _open_reader(path: Path) -> AnyReader:
    return AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE))


def _messages(reader: AnyReader, topics: tuple[str, ...]) -> Iterator[tuple[Any, str, str, int]]:
    """Messages with type, topic and log time, ns."""
    wanted = [found for found in reader.connections if found.topic in topics]
    for connection, log_ns, data in reader.messages(wanted):
        yield reader.deserialize(data, connection.msgtype), connection.msgtype, connection.topic, log_ns


def _stamp_ns(message: Any, log_ns: int) -> int:
    """The time the camera took the image or, if unknown, the time it was recorded."""
    stamp = message.header.stamp
    return (int(stamp.sec) * 10**9 + int(stamp.nanosec)) or log_ns


def _damaged(path: Path, error: Exception) -> RecordingError:
    if isinstance(error, RecordingError):
        return error
    reason = str(error).rstrip(".") or type(error).__name__
    return RecordingError(
        f"recording {str(path)!r} is not a recording that can be read ({reason}); it was cut short or is something "
        "else, copy or record it again"
    )
