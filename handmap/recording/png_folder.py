"""A folder of depth PNGs as a recording: sorted by name, one camera, intrinsics given or in `intrinsics.yaml` beside them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import numpy as np

from handmap.files.images import read_color_png, read_depth_png
from handmap.recording.datasets import LabeledFrame
from handmap.system.config import read_config
from handmap.types.arrays import Uint16
from handmap.types.errors import ConfigError, RecordingError
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame, TimestampSource

INTRINSICS_FILE: Final = "intrinsics.yaml"
# Bounds far beyond any camera's keep out infinity and NaN, which YAML can express.
Focal = Annotated[float, msgspec.Meta(gt=0, le=100_000)]
Center = Annotated[float, msgspec.Meta(ge=-100_000, le=100_000)]
Unit = Annotated[float, msgspec.Meta(gt=0, le=1000)]
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


class PngFolder:
    """The frames of a folder, read one by one; iterate as often as you like."""

    def __init__(self, path: Path, config: PngFolderConfig | None) -> None:
        self.path = path
        self._files = sorted(path.glob("*.png"))
        if not self._files:
            raise RecordingError(
                f"recording {str(path)!r}: no metadata.yaml of a bag and no *.png in it; use a recording or a "
                "folder of depth PNGs"
            )
        self._config = config or _read_beside(path)
        self.fps = self._config.fps
        self.depth_unit_mm = self._config.depth_unit_mm
        height_px, width_px = self._read(self._files[0]).shape
        c = self._config
        self.intrinsics = Intrinsics(width_px, height_px, c.fx_px, c.fy_px, c.cx_px, c.cy_px)

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[DepthFrame]:
        for number, file in enumerate(self._files):
            depth = self._read(file)
            wanted = (self.intrinsics.height_px, self.intrinsics.width_px)
            if depth.shape != wanted:
                raise RecordingError(
                    f"depth image {str(file)!r}: found size {depth.shape}, the first one of the folder has {wanted}; "
                    "keep to one size per folder"
                )
            capture_ns = round(number * 1e9 / self.fps)
            yield DepthFrame(depth, self.depth_unit_mm, self.intrinsics, number, capture_ns, TimestampSource.RECORDING)

    def endless(self) -> Iterator[DepthFrame]:
        """The frames in an endless loop, numbered from 0 each time."""
        while True:
            yield from self

    def labeled(self) -> Iterator[LabeledFrame]:
        """Raises RecordingError: PNGs carry no labels."""
        raise RecordingError(
            f"recording {str(self.path)!r}: a folder of PNGs has no joint labels; use a recording that `handmap "
            "synthesize` wrote"
        )

    def _read(self, file: Path) -> Uint16:
        if self._config.encoding == "depth16":
            return read_depth_png(file)
        color = read_color_png(file).astype(np.uint16)  # (H, W, 3)
        return color[..., 1] * np.uint16(256) + color[..., 2]


def _read_beside(path: Path) -> PngFolderConfig:
    beside = path / INTRINSICS_FILE
    if not beside.exists():
        raise ConfigError(
            f"recording {str(path)!r}: no {INTRINSICS_FILE} beside the PNGs and none given; write one with fx_px, "
            "fy_px, cx_px, cy_px and depth_unit_mm"
        )
    return read_config(beside, PngFolderConfig)
