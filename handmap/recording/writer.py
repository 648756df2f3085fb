"""Writes a recording: a ROS 2 bag (MCAP, zstd) that any ROS 2 tool opens. reader.py reads it back.

Lossless: 16UC1 if a unit is 1 mm, else 32FC1 meters with the unit on a topic of our own. Labels are a point cloud, so
any ROS 2 tool can show them.
"""

import os
import shutil
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.typesys import Stores, get_typestore

from handmap.files.atomic import new_folder, sync_tree
from handmap.recording.checked_writer import CheckedWriter
from handmap.recording.datasets import LabeledFrame
from handmap.recording.ros_messages import (
    CAMERA_INFO,
    DEPTH_TOPIC,
    FLOAT64,
    FRAME_ID,
    IMAGE,
    INFO_TOPIC,
    JOINTS_TOPIC,
    POINT_CLOUD,
    UNIT_TOPIC,
    JointLabels,
    meters_from_depth,
    pack_joints,
)
from handmap.types.errors import RecordingError
from handmap.types.intrinsics import Intrinsics
from handmap.types.joints import JOINT_COUNT
from handmap.types.values import DepthFrame


class RecordingWriter:
    """Writes one recording: complete under its name if the `with` block succeeds, absent otherwise.

    If it is written in place, it is there from the first frame on, and what was written stays, whatever ends it: an error, a
    full disk, or SIGKILL, which costs at most the last second. A recording without a frame leaves nothing.
    Frame times become ROS stamps after adding epoch_offset_ns (0 keeps synthetic recordings byte-identical).
    Raises RecordingError if the path is taken or the disk is full.
    """

    mode = 0o755  # of its folder

    def __init__(
        self,
        path: Path,
        intrinsics: Intrinsics,
        depth_unit_mm: float,
        epoch_offset_ns: int = 0,
        *,
        in_place: bool = False,
    ) -> None:
        self._path = path
        self._intrinsics = intrinsics
        self._unit_mm = depth_unit_mm
        self._epoch_offset_ns = epoch_offset_ns
        self._in_place = in_place
        self._frames = 0
        self._has_failed = False  # after a failed write, nothing may be put behind the half that it left
        self._store = get_typestore(Stores.ROS2_HUMBLE)
        self._stack = ExitStack()
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> "RecordingWriter":
        if os.path.lexists(self._path):
            raise RecordingError(
                f"recording {str(self._path)!r} exists already and is never overwritten; remove it or choose another "
                "name"
            )
        try:
            # A folder of the final name inside the temporary one: the bag's metadata carries the name of its file.
            self._bag = (
                self._path
                if self._in_place
                else self._stack.enter_context(new_folder(self._path, mode=self.mode)) / self._path.name
            )
            self._writer = CheckedWriter(self._bag, version=8, storage_plugin=StoragePlugin.MCAP)
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self._writer.open()
        except OSError as error:
            if self._in_place:
                with suppress(OSError):
                    self._path.rmdir()  # made, and then its file could not be
            self._stack.close()
            raise self._failed(error) from error
        return self

    def write(self, frame: DepthFrame) -> None:
        """Adds a frame with the same intrinsics and unit as the recording."""
        if frame.intrinsics != self._intrinsics or frame.depth_unit_mm != self._unit_mm:
            raise RecordingError(
                f"recording {str(self._path)!r}: frame {frame.frame_number} has other intrinsics or another unit; "
                "start a new recording"
            )
        stamp_ns = frame.capture_ns + self._epoch_offset_ns
        header = self._header(stamp_ns)
        height, width = frame.depth.shape
        if self._unit_mm == 1.0:
            encoding, values = "16UC1", frame.depth.astype("<u2")
        else:
            encoding, values = "32FC1", meters_from_depth(frame.depth, self._unit_mm).astype("<f4")
            self._put(UNIT_TOPIC, FLOAT64, stamp_ns, data=self._unit_mm)
        pixels = np.ascontiguousarray(values).view(np.uint8).reshape(-1)
        self._put(INFO_TOPIC, CAMERA_INFO, stamp_ns, **self._camera_info(header))
        step = len(pixels) // height
        self._put(
            DEPTH_TOPIC,
            IMAGE,
            stamp_ns,
            header=header,
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=0,
            step=step,
            data=pixels,
        )
        self._frames += 1

    def write_labeled(self, labeled: LabeledFrame) -> None:
        """Adds a frame with its joints."""
        stamp_ns = labeled.frame.capture_ns + self._epoch_offset_ns
        field = self._store.types["sensor_msgs/msg/PointField"]
        cloud = pack_joints(
            JointLabels(labeled.xyz_camera_mm, labeled.is_visible, labeled.handedness, labeled.doubt_mm)
        )
        self._put(
            JOINTS_TOPIC, POINT_CLOUD, stamp_ns, header=self._header(stamp_ns), height=1, width=JOINT_COUNT,
            fields=[field(name=name, offset=offset, datatype=kind, count=1) for name, offset, kind in cloud.fields],
            is_bigendian=False, point_step=cloud.step_bytes, row_step=len(cloud.data), data=cloud.data,
            is_dense=bool(np.isfinite(labeled.xyz_camera_mm).all()),
        )  # fmt: skip
        self.write(labeled.frame)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._abandon(error)
            return
        try:
            self._finish()
        except OSError as failure:
            sentence = self._failed(failure)
            self._abandon(failure)
            raise sentence from failure

    def _finish(self) -> None:
        """Closes the bag and syncs it; unless it is in place, it leaves its inner folder and takes its final name."""
        self._writer.close()
        if self._in_place:
            sync_tree(self._bag)
            return
        for file in self._bag.iterdir():
            file.rename(self._bag.parent / file.name)
        self._bag.rmdir()
        self._stack.close()

    def _abandon(self, error: BaseException | None) -> None:
        """Removes what was written, or closes it in place; on a full disk the last flush fails again, which is ignored."""
        if self._in_place and self._frames and not self._has_failed:
            with suppress(OSError):
                self._finish()
        is_empty = not self._kept_frames()
        with suppress(OSError):
            self._writer.abort()
        if self._in_place and is_empty:
            shutil.rmtree(self._bag, ignore_errors=True)
        with suppress(OSError):
            self._stack.__exit__(type(error) if error else None, error, None)

    def _kept_frames(self) -> int:
        """How many frames can be read whatever happens now: those written after them are not in a whole chunk."""
        depth = self._connections.get(DEPTH_TOPIC)
        return 0 if depth is None else self._writer.kept_messages(depth)

    def _put(self, topic: str, msgtype: str, stamp_ns: int, **fields: Any) -> None:
        message = self._store.types[msgtype](**fields)
        try:
            if topic not in self._connections:
                self._connections[topic] = self._writer.add_connection(topic, msgtype, typestore=self._store)
            self._writer.write(self._connections[topic], stamp_ns, self._store.serialize_cdr(message, msgtype))
        except OSError as error:
            raise self._failed(error) from error

    def _header(self, stamp_ns: int) -> Any:
        time = self._store.types["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
        return self._store.types["std_msgs/msg/Header"](stamp=time, frame_id=FRAME_ID)

    def _camera_info(self, header: Any) -> dict[str, Any]:
        i = self._intrinsics
        region = self._store.types["sensor_msgs/msg/RegionOfInterest"](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        k = np.array([i.fx_px, 0, i.cx_px, 0, i.fy_px, i.cy_px, 0, 0, 1], np.float64)
        p = np.array([i.fx_px, 0, i.cx_px, 0, 0, i.fy_px, i.cy_px, 0, 0, 0, 1, 0], np.float64)
        return {
            "header": header, "height": i.height_px, "width": i.width_px,
            "distortion_model": "plumb_bob", "d": np.zeros(5),
            "k": k, "r": np.eye(3).reshape(-1), "p": p, "binning_x": 0, "binning_y": 0, "roi": region,
        }  # fmt: skip

    def _failed(self, error: OSError) -> RecordingError:
        self._has_failed = True
        kept = self._kept_frames() if self._in_place else 0
        left = f"its first {kept} frames can be read" if kept else "nothing was left behind"
        return RecordingError(
            f"recording {str(self._path)!r} cannot be written ({error.strerror or error}); free up space or choose "
            f"another place; {left}"
        )
