"""A folder of depth PNGs as a recording: one camera, in natural order, intrinsics given or in `intrinsics.yaml` beside them."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from handmap.files.images import SAVE_DEPTH, read_depth_png, read_nyu_png
from handmap.geometry.visibility import joints_in_sight
from handmap.recording.choices import stated_lens
from handmap.recording.datasets import LabeledFrame
from handmap.recording.png_labels import LABELS_FILE, PngLabel, read_png_labels
from handmap.recording.png_names import find_pngs
from handmap.recording.stated import NOTHING_STATED, Center, Coefficient, Focal, IntrinsicsConfig, Stated, Unit
from handmap.system.config import read_config
from handmap.types.arrays import Uint16
from handmap.types.distortion import undistortion
from handmap.types.errors import ConfigError, RecordingError
from handmap.types.values import DepthFrame, Handedness, TimestampSource

INTRINSICS_FILE: Final = "intrinsics.yaml"
SET_IN: Final = f"in its {INTRINSICS_FILE} or in camera.png_folder"
NO_DEPTH: Final = f"{SAVE_DEPTH} (only the colors of the NYU data set are depth: for those set encoding: nyu {SET_IN})"
NO_COLOR: Final = f"for 16-bit depth set encoding: depth16 {SET_IN}"
HANDEDNESS: Final = {"right": Handedness.RIGHT, "left": Handedness.LEFT}
Rate = Annotated[float, msgspec.Meta(ge=0.001, le=10_000)]


class PngFolderConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Camera facts that PNGs do not contain; encoding nyu means mm = 256 * green + blue."""

    fx_px: Focal  # horizontal focal length
    fy_px: Focal  # vertical focal length
    cx_px: Center  # principal point, from the left
    cy_px: Center  # principal point, from the top
    depth_unit_mm: Unit = 1.0  # one step of the raw values
    fps: Rate = 30.0  # frame rate
    encoding: Literal["depth16", "nyu"] = "depth16"  # depth16: 16-bit grayscale; nyu: mm = 256 * green + blue
    pattern: str | None = None  # names of the depth images, such as "depth_1_*.png"; null: all PNGs
    distortion_model: str = "plumb_bob"  # plumb_bob, rational_polynomial or equidistant, as ROS names them
    distortion: tuple[Coefficient, ...] = ()  # coefficients in OpenCV's order; none: the images are rectified
    handedness: Literal["right", "left"] = "right"  # of the labeled hands, where joints.txt labels them


class PngFolder:
    """The frames of a folder, read one by one; iterate as often as you like."""

    cut = ""

    def __init__(self, path: Path, config: PngFolderConfig | None, stated: Stated = NOTHING_STATED) -> None:
        self.path = path
        if stated.topic is not None:
            raise RecordingError(
                f"recording {str(path)!r}: found a folder of PNGs, which has no topic {stated.topic!r}; leave out --topic"
            )
        self._config = _with(config or _read_beside(path, stated), stated)
        self.files = find_pngs(path, self._config.pattern)
        self.fps = self._config.fps
        self.handedness = HANDEDNESS[self._config.handedness]
        self.depth_unit_mm = self._config.depth_unit_mm
        height_px, width_px = self._read(self.files[0]).shape
        self.lens = stated_lens(_intrinsics_of(self._config), (width_px, height_px))
        self.intrinsics = self.lens.intrinsics
        bent = self.lens.distortion
        self._undistortion = None if bent is None else undistortion(self.intrinsics, bent)

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[DepthFrame]:
        return map(self._frame, range(len(self.files)))

    def endless(self) -> Iterator[DepthFrame]:
        """The frames in an endless loop, numbered from 0 each time."""
        while True:
            yield from self

    def labeled_count(self) -> int:
        """The number of labeled frames.

        Raises RecordingError if there is no label file, DatasetError if it is faulty.
        """
        return len(self._labels)

    def labeled(self) -> Iterator[LabeledFrame]:
        """The labeled frames in the folder's order, with their labels.

        Raises RecordingError if there is no label file, DatasetError if it is faulty.
        """
        for number, file in enumerate(self.files):
            if (label := self._labels.get(file.name)) is not None:
                frame = self._frame(number)
                is_seen = joints_in_sight(label.xyz_camera_mm, frame)
                yield LabeledFrame(frame, label.xyz_camera_mm, is_seen, self.handedness, label.doubt_mm)

    @cached_property
    def _labels(self) -> dict[str, PngLabel]:
        file = self.path / LABELS_FILE
        if not file.exists():
            raise RecordingError(
                f"recording {str(self.path)!r}: no joint labels, for there is no {LABELS_FILE} beside the PNGs; write one "
                "(docs/recordings.md), or use a recording that `handmap synthesize` or `handmap label` wrote"
            )
        return read_png_labels(file, {one.name for one in self.files})

    def _frame(self, number: int) -> DepthFrame:
        file = self.files[number]
        depth = self._read(file)
        wanted = (self.intrinsics.height_px, self.intrinsics.width_px)
        if depth.shape != wanted:
            raise RecordingError(
                f"depth image {str(file)!r}: found size {depth.shape}, the first one of the folder has {wanted}; "
                "keep to one size per folder"
            )
        if self._undistortion is not None:
            depth = self._undistortion.apply(depth)
        capture_ns = round(number * 1e9 / self.fps)
        return DepthFrame(depth, self.depth_unit_mm, self.intrinsics, number, capture_ns, TimestampSource.RECORDING)

    def _read(self, file: Path) -> Uint16:
        return read_depth_png(file, NO_DEPTH) if self._config.encoding == "depth16" else read_nyu_png(file, NO_COLOR)


def _intrinsics_of(config: PngFolderConfig) -> IntrinsicsConfig:
    shared = {name: getattr(config, name) for name in IntrinsicsConfig.__struct_fields__}
    return IntrinsicsConfig(**shared)


def _with(config: PngFolderConfig, stated: Stated) -> PngFolderConfig:
    """The configuration with what is stated in its place."""
    given = {} if stated.intrinsics is None else msgspec.structs.asdict(stated.intrinsics)
    given |= {} if stated.depth_unit_mm is None else {"depth_unit_mm": stated.depth_unit_mm}
    return msgspec.structs.replace(config, **given)


def _read_beside(path: Path, stated: Stated) -> PngFolderConfig:
    """What is written beside the PNGs; for the depth images in a folder of a sequence, also what is beside that."""
    for beside in (path / INTRINSICS_FILE, path.absolute().parent / INTRINSICS_FILE):
        if beside.exists():
            return read_config(beside, PngFolderConfig)
    if stated.intrinsics is not None:
        return PngFolderConfig(**msgspec.structs.asdict(stated.intrinsics))
    find_pngs(path, "*")  # a folder without PNGs is no recording, whatever is beside it
    raise ConfigError(
        f"recording {str(path)!r}: no {INTRINSICS_FILE} beside the PNGs and none given; write one with fx_px, "
        "fy_px, cx_px, cy_px and depth_unit_mm, or state --intrinsics FX,FY,CX,CY"
    )
