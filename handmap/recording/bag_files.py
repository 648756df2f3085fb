"""Opens a bag: one file, or a folder with the files that metadata.yaml lists; and decodes its messages."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path, PurePath
from typing import Any, Final

import yaml
from rosbags.rosbag2.storage_mcap import DECOMPRESSORS
from rosbags.typesys import Stores, get_typestore

from handmap.files.reading import LFS_MAGIC, open_regular, read_bytes
from handmap.recording import mcap_file, ros1_file, sqlite_file
from handmap.recording.bag_file import BagFile, Message, Topic
from handmap.types.errors import RecordingError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd  # what rosbags stands on

METADATA: Final = "metadata.yaml"
STORED: Final = ("*.mcap", "*.db3", "*.mcap.zstd", "*.db3.zstd", "*.bag")
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_FORMATS: Final[dict[bytes, Callable[[Path], BagFile]]] = {
    mcap_file.MAGIC: mcap_file.McapFile,
    sqlite_file.MAGIC: sqlite_file.SqliteFile,
    ros1_file.MAGIC: ros1_file.Ros1File,
}
MAX_METADATA_BYTES: Final = 16 << 20
MAX_UNPACKED_BYTES: Final = 256 << 30


class BagFiles:
    """The open files of one bag, one after another. A context manager."""

    def __init__(self, path: Path) -> None:
        self._stack = ExitStack()
        self.cut: list[str] = []  # names of files without an end, with what that means
        try:
            self._files = [self._open(file) for file in bag_files(path)]
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> "BagFiles":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def topics(self) -> tuple[Topic, ...]:
        """All topics by name; those that several files or writers share are counted together."""
        merged: dict[tuple[str, str, str], int] = {}
        for one in (topic for file in self._files for topic in file.topics):
            key = (one.name, one.msgtype, one.encoding)
            merged[key] = merged.get(key, 0) + one.count
        return tuple(Topic(*key, count) for key, count in sorted(merged.items()))

    def messages(self, topics: frozenset[str]) -> Iterator[Message]:
        """The messages of these topics in the order they were recorded in."""
        for file in self._files:
            for message in file.messages(topics):
                if message.data[:4] == _ZSTD_MAGIC:  # recorded with --compression-mode message
                    yield message._replace(data=DECOMPRESSORS["zstd"](message.data, 0))
                else:
                    yield message

    def _open(self, path: Path) -> BagFile:
        head = _head(path)
        if head.startswith(_ZSTD_MAGIC):
            path = self._unpacked(path)
            head = _head(path)
        for magic, kind in _FORMATS.items():
            if head.startswith(magic):
                opened = kind(path)
                self._stack.callback(opened.close)
                if isinstance(opened, mcap_file.McapFile) and opened.is_cut:
                    self._accept_cut(path, opened.lost_bytes)
                return opened
        if head.startswith(LFS_MAGIC):
            raise RecordingError(
                f"recording {str(path)!r}: it is a pointer of Git LFS, not the file itself; fetch that with: git lfs pull"
            )
        raise RecordingError(
            f"recording {str(path)!r} is {'empty' if not head else 'not a recording'}: wanted a ROS bag (.mcap, .db3, "
            ".bag) or a folder of depth PNGs; copy or record it again"
        )

    def _accept_cut(self, path: Path, lost_bytes: int) -> None:
        """A recorder that was killed, or still writes, left no metadata.yaml either: with one, the file was whole once."""
        if (path.parent / METADATA).exists():
            raise mcap_file.McapError("the end of the file is missing")
        lost = f", and the last {lost_bytes} bytes cannot be read" if lost_bytes else ""
        self.cut.append(f"{path.name!r} has no end: its recorder was killed, or still writes{lost}")

    def _unpacked(self, path: Path) -> Path:
        """The content of a file that was compressed as a whole, in a temporary folder."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        unpacked = folder / path.stem
        left = min(MAX_UNPACKED_BYTES, shutil.disk_usage(folder).free // 2)
        with zstd.open(path, "rb") as source, unpacked.open("wb") as target:
            while part := source.read(1 << 20):
                left -= target.write(part)
                if left < 0:
                    raise RecordingError(
                        f"recording {str(path)!r}: it unpacks to more than half of the free space of {str(folder)!r}, or more than "
                        f"{MAX_UNPACKED_BYTES >> 30} GB; unpack it yourself with: zstd -d, or set TMPDIR to a larger disk"
                    )
        return unpacked


def _head(path: Path) -> bytes:
    """The first bytes of a regular file.

    Raises FileError for anything else, such as a named pipe.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        return file.read(32)


def is_bag_folder(path: Path) -> bool:
    """Whether a folder holds a bag."""
    return (path / METADATA).exists() or any(_stored(path))


def bag_files(path: Path) -> list[Path]:
    """The files of the bag at `path`, in order. metadata.yaml is only needed to order several files.

    Raises RecordingError if some are missing, or several are listed nowhere.
    """
    if not path.is_dir():
        return [path]
    stored = sorted(_stored(path))
    listed = _listed(path)
    if len(stored) == 1 and len(listed) <= 1:
        return stored
    missing = [name for name in listed if not (path / name).exists()]
    if missing or not stored:
        raise RecordingError(
            f"recording {str(path)!r}: {METADATA} lists files that are missing ({', '.join(missing) or 'all'}); copy the "
            "whole folder again, or name one of its files"
        )
    if not listed:
        raise RecordingError(
            f"recording {str(path)!r}: no {METADATA} says in which order its {len(stored)} files belong together; name "
            f"one of them, such as {str(stored[0])!r}, or write it with: ros2 bag reindex"
        )
    return [path / name for name in listed]


def decode(message: Message) -> Any:
    """The message as an object. Types are those that ROS itself comes with.

    Raises RecordingError if it is encoded in another way than ROS does it.
    """
    if message.encoding == "ros1":
        return _store(Stores.ROS1_NOETIC).deserialize_ros1(message.data, message.msgtype)
    if message.encoding != "cdr":
        raise RecordingError(
            f"topic {message.topic!r}: found messages encoded as {message.encoding!r}, wanted those of ROS (cdr, ros1); "
            "record the topic with: ros2 bag record"
        )
    return _store(Stores.ROS2_HUMBLE).deserialize_cdr(message.data, message.msgtype)


@cache
def _store(name: Stores) -> Any:
    return get_typestore(name)


def _stored(path: Path) -> Iterator[Path]:
    return (file for pattern in STORED for file in path.glob(pattern) if not file.name.startswith("._"))  # macOS's


def _listed(path: Path) -> list[str]:
    """The file names in metadata.yaml; none if it cannot be read."""
    try:
        content = read_bytes(path / METADATA, MAX_METADATA_BYTES)
        found = yaml.safe_load(content)["rosbag2_bagfile_information"]["relative_file_paths"]
        return [PurePath(name).name for name in found if isinstance(name, str)]
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError):
        return []
