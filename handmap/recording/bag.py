"""A bag as a recording: its frames, by the plan that choices.py makes from the first messages."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from handmap.recording.bag_file import Message
from handmap.recording.bag_files import BagFiles, decode
from handmap.recording.choices import Plan, make_plan
from handmap.recording.clock import without_steps
from handmap.recording.datasets import LabeledFrame
from handmap.recording.depth_images import read_depth
from handmap.recording.ros_messages import JOINTS_TOPIC, JointLabels, Lens, has_matrix, lens_from_message, unpack_joints
from handmap.recording.stated import Stated
from handmap.recording.survey import Survey, stamp_ns, survey_bag
from handmap.types.distortion import Undistortion, undistortion
from handmap.types.errors import ConfigError, RecordingError
from handmap.types.values import DepthFrame, TimestampSource


class Bag:
    """A ROS 1 or ROS 2 bag; opened once for its facts, and again by each iteration.

    survey and plan say what is in it and how it is read.
    """

    def __init__(self, path: Path, stated: Stated) -> None:
        self.path = path
        with _opened(path) as files:
            self.survey: Survey = survey_bag(files)
            self.cut = "; ".join(files.cut)
            if self.cut and not self.survey.topics:
                raise RecordingError(
                    f"recording {str(path)!r}: {self.cut}; no frame can be read; wait for the recorder, or record again"
                )
            self.plan: Plan = make_plan(self.survey, path, stated)
        self._length = sum(one.count for one in self.survey.topics if one.name == self.plan.topic)
        self._labels = sum(one.count for one in self.survey.topics if one.name == JOINTS_TOPIC)
        self.intrinsics = self.plan.lens.intrinsics
        self.depth_unit_mm = self.plan.scale.unit_mm
        self.fps = 1e9 / self.plan.period_ns

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[DepthFrame]:
        with _opened(self.path) as files:
            yield from self._round(files)

    def endless(self) -> Iterator[DepthFrame]:
        """See `Recording`: opening a bag takes two frames' time."""
        with _opened(self.path) as files:
            while True:
                yield from self._round(files)

    def labeled_count(self) -> int:
        """The number of labeled frames.

        Raises RecordingError if the bag has no HandMap labels.
        """
        if not self._labels:
            raise RecordingError(
                f"recording {str(self.path)!r}: no joint labels on {JOINTS_TOPIC!r}; use a recording that `handmap "
                "synthesize` or `handmap label` wrote"
            )
        return self._labels

    def labeled(self) -> Iterator[LabeledFrame]:
        """The labeled frames, with their labels.

        Raises RecordingError if the bag has no HandMap labels.
        """
        self.labeled_count()
        frames: dict[int, DepthFrame] = {}
        labels: dict[int, JointLabels] = {}
        reader = _FrameReader(self.path, self.plan)
        with _opened(self.path) as files:
            for message in files.messages(self._topics() | {JOINTS_TOPIC}):
                stamp = stamp_ns(message) or message.log_ns
                if message.topic == JOINTS_TOPIC:
                    labels[stamp] = unpack_joints(decode(message).data, message.topic)
                elif (frame := reader.take(message)) is not None:
                    frames[stamp] = frame
                if stamp in frames and stamp in labels:
                    found = labels[stamp]
                    yield LabeledFrame(
                        frames[stamp], found.xyz_camera_mm, found.is_visible, found.handedness, found.doubt_mm
                    )
                    frames.clear()  # frames without a label are skipped; labels come with their frame
                    labels.clear()

    def _round(self, files: BagFiles) -> Iterator[DepthFrame]:
        reader = _FrameReader(self.path, self.plan)
        messages = files.messages(self._topics())
        frames = (frame for message in messages if (frame := reader.take(message)) is not None)
        # One that is being written has more by now; its recorder may even have come to its end.
        counted = islice(frames, self._length) if self.cut else frames
        yield from without_steps(counted, self.plan.period_ns)
        if reader.count != self._length:
            raise RecordingError(
                f"recording {str(self.path)!r}: only {reader.count} of {self._length} frames could be read; it was "
                "truncated, copy or record it again"
            )

    def _topics(self) -> frozenset[str]:
        return frozenset({self.plan.topic} | ({self.plan.info_topic} if self.plan.info_topic else set()))


class _FrameReader:
    """Makes frames of messages in their order; a camera info that differs is the lens of the frames that follow."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self.count = 0
        self._path = path
        self._plan = plan
        self._lens = plan.lens
        self._info: Any = None  # the newest valid one
        self._info_bytes = b""
        self._undistortion = _undistortion(plan.lens)

    def take(self, message: Message) -> DepthFrame | None:
        """The frame, if the message is one."""
        if message.topic == self._plan.info_topic:
            self._learn(message)
        if message.topic != self._plan.topic:
            return None
        image = decode(message)
        depth = read_depth(image, message.msgtype, self._plan.scale, message.topic)
        self._fit((depth.shape[1], depth.shape[0]))
        if self._undistortion is not None:
            depth = self._undistortion.apply(depth)
        time_ns = stamp_ns(message) if self._plan.has_stamps else message.log_ns
        number, self.count = self.count, self.count + 1
        unit_mm = self._plan.scale.unit_mm
        return DepthFrame(depth, unit_mm, self._lens.intrinsics, number, time_ns, TimestampSource.RECORDING)

    def _learn(self, message: Message) -> None:
        content = message.data[12:]  # without the stamp, which changes with every message
        if content == self._info_bytes:
            return
        self._info_bytes = content
        info = decode(message)
        if has_matrix(info):
            self._info = info

    def _fit(self, size: tuple[int, int]) -> None:
        """Takes the newest lens for images of this (width, height)."""
        lens: Lens | None = self._lens
        if self._info is not None:
            lens = lens_from_message(self._info, size, self._plan.is_rectified)
        if lens is None or (lens.intrinsics.width_px, lens.intrinsics.height_px) != size:
            raise RecordingError(
                f"recording {str(self._path)!r}: frame {self.count} on {self._plan.topic!r} is {size[0]}x{size[1]} and "
                f"those before it {self._lens.intrinsics.width_px}x{self._lens.intrinsics.height_px}, without a camera "
                "info for its size; record each resolution, with its camera_info, for itself"
            )
        if lens != self._lens:
            self._lens, self._undistortion = lens, _undistortion(lens)


def _undistortion(lens: Lens) -> Undistortion | None:
    return None if lens.distortion is None else undistortion(lens.intrinsics, lens.distortion)


@contextmanager
def _opened(path: Path) -> Iterator[BagFiles]:
    try:
        with BagFiles(path) as files:
            yield files
    except (RecordingError, ConfigError):
        raise
    except Exception as error:  # the parsers can raise anything on damaged bytes
        reason = str(error).rstrip(".").partition("\n")[0] or type(error).__name__
        raise RecordingError(
            f"recording {str(path)!r} is not a recording that can be read ({reason}); it was cut short or damaged: copy "
            "or record it again"
        ) from error
