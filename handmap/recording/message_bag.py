"""A ROS 2 bag (MCAP, zstd) of messages of the usual types, which any ROS 2 tool and Foxglove open; writer.py has the one for depth frames."""

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.typesys import Stores, get_typestore

from handmap.files.atomic import new_folder
from handmap.recording.checked_writer import CheckedWriter
from handmap.types.arrays import Uint8
from handmap.types.errors import RecordingError


class MessageBag:
    """Writes one bag: complete under its name if the `with` block succeeds, absent otherwise.

    Raises RecordingError if the path is taken or the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._store = get_typestore(Stores.ROS2_HUMBLE)
        self._stack = ExitStack()
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> "MessageBag":
        if os.path.lexists(self._path):
            raise RecordingError(
                f"recording {str(self._path)!r} exists already and is never overwritten; remove it or choose another name"
            )
        try:
            # A folder of the final name inside the temporary one: the bag's metadata carries the name of its file.
            self._bag = self._stack.enter_context(new_folder(self._path)) / self._path.name
            self._writer = CheckedWriter(self._bag, version=8, storage_plugin=StoragePlugin.MCAP)
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self._writer.open()
        except OSError as error:
            self._stack.close()
            raise self._failed(error) from error
        return self

    def make(self, msgtype: str, **fields: Any) -> Any:
        """A message of this type, such as geometry_msgs/msg/Pose, with all of its fields."""
        return self._store.types[msgtype](**fields)

    def octets(self, content: bytes) -> Uint8:
        """Bytes as messages hold them."""
        return np.frombuffer(content, np.uint8)

    def put(self, topic: str, msgtype: str, log_ns: int, message: Any) -> None:
        """Adds a message; log_ns is the time since the epoch at which it was received."""
        try:
            if topic not in self._connections:
                self._connections[topic] = self._writer.add_connection(topic, msgtype, typestore=self._store)
            self._writer.write(self._connections[topic], log_ns, self._store.serialize_cdr(message, msgtype))
        except OSError as error:
            raise self._failed(error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._abandon(error)
            return
        try:
            self._writer.close()
            for file in self._bag.iterdir():
                file.rename(self._bag.parent / file.name)
            self._bag.rmdir()
            self._stack.close()
        except OSError as failure:
            sentence = self._failed(failure)
            self._abandon(failure)
            raise sentence from failure

    def _abandon(self, error: BaseException | None) -> None:
        """Removes what was written; on a full disk the last flush fails again, which is ignored."""
        with suppress(OSError):
            self._writer.abort()
        with suppress(OSError):
            self._stack.__exit__(type(error) if error else None, error, None)

    def _failed(self, error: OSError) -> RecordingError:
        return RecordingError(
            f"recording {str(self._path)!r} cannot be written ({error.strerror or error}); free up space or choose another place; "
            "nothing was left behind"
        )
