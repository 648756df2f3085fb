"""Opens recordings: our own bags, those of realsense-ros and of the RealSense SDK, and folders of PNGs.

bag.py and png_folder.py read them, writer.py writes ours.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from handmap.recording.bag import Bag
from handmap.recording.bag_files import is_bag_folder
from handmap.recording.datasets import LabeledFrame
from handmap.recording.png_folder import PngFolder, PngFolderConfig
from handmap.recording.stated import IntrinsicsConfig, RecordingAt, RecordingName, Stated
from handmap.types.errors import RecordingError
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame


class Recording(Protocol):
    """Depth frames in recorded order; every iteration starts from the beginning.

    capture_ns is the recorded time, on whatever clock was used; a step of that clock, or a pause, is one period long.
    intrinsics are those of the first frame: each frame has its own, which change when the camera was set up anew. cut says what
    is missing if its recorder was killed or still writes, else "".
    """

    path: Path
    intrinsics: Intrinsics
    depth_unit_mm: float
    fps: float
    cut: str

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[DepthFrame]: ...
    def endless(self) -> Iterator[DepthFrame]:
        """The frames in an endless loop, numbered from 0 each time; starting over causes no delay."""
        ...

    def labeled_count(self) -> int:
        """The number of labeled frames."""
        ...

    def labeled(self) -> Iterator[LabeledFrame]:
        """The labeled frames, with their labels."""
        ...


def open_recording(
    path: RecordingName,
    topic: str | None = None,
    png_config: PngFolderConfig | None = None,
    depth_unit_mm: float | None = None,
    intrinsics: IntrinsicsConfig | None = None,
) -> Recording:
    """The recording at `path`: a bag (folder, .mcap, .db3, .bag) or a folder of PNGs.

    What is stated takes the place of what the recording says: the depth topic, millimeters per raw step, the intrinsics.
    Raises RecordingError if it is absent, truncated, or has no readable depth.
    """
    if isinstance(path, RecordingAt):
        return _open_at(path, png_config)
    return _open_at(RecordingAt(Path(path), Stated(topic, depth_unit_mm, intrinsics)), png_config)


def _open_at(at: RecordingAt, png_config: PngFolderConfig | None) -> Recording:
    path = at.path
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
    if path.is_dir() and not is_bag_folder(path):
        return PngFolder(path, png_config, at.stated)
    if png_config is not None:
        raise RecordingError(
            f"recording {str(path)!r}: found a bag, which png_folder does not describe; leave out png_folder, or name a folder of PNGs"
        )
    return Bag(path, at.stated)
