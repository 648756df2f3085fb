"""What the user states about a recording, in place of what is found in it: options of a verb, or keys of a configuration."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import click
import msgspec

from handmap.system.config import read_config
from handmap.system.options import FiniteRange
from handmap.types.errors import ConfigError
from handmap.types.intrinsics import FOCAL_PX

# Bounds far beyond any camera's keep out infinity and NaN, which YAML can express.
MAX_UNIT_MM: Final = 1000.0
Focal = Annotated[float, msgspec.Meta(ge=FOCAL_PX[0], le=FOCAL_PX[1])]
Center = Annotated[float, msgspec.Meta(ge=-FOCAL_PX[1], le=FOCAL_PX[1])]
Unit = Annotated[float, msgspec.Meta(gt=0, le=MAX_UNIT_MM)]
Coefficient = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
WANTED: Final = "FX,FY,CX,CY in pixels, or a YAML file with fx_px, fy_px, cx_px and cy_px"
Verb = TypeVar("Verb", bound=Callable[..., Any])


class IntrinsicsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The intrinsics of a depth camera, in place of those in the recording."""

    fx_px: Focal  # horizontal focal length
    fy_px: Focal  # vertical focal length
    cx_px: Center  # principal point, from the left
    cy_px: Center  # principal point, from the top
    distortion_model: str = "plumb_bob"  # plumb_bob, rational_polynomial or equidistant, as ROS names them
    distortion: tuple[Coefficient, ...] = ()  # coefficients in OpenCV's order; none: the image is rectified


@dataclass(frozen=True)
class Stated:
    """What is stated; None is left to the recording. One raw step of depth is depth_unit_mm, whatever the encoding."""

    topic: str | None = None
    depth_unit_mm: float | None = None
    intrinsics: IntrinsicsConfig | None = None


NOTHING_STATED: Final = Stated()


@dataclass(frozen=True)
class RecordingAt:
    """A recording, and what is stated about it. As text it is its path."""

    path: Path
    stated: Stated = NOTHING_STATED

    def __str__(self) -> str:
        return str(self.path)


RecordingName: TypeAlias = Path | str | RecordingAt


def recording_options(verb: Verb) -> Verb:
    """Adds the options `--topic`, `--depth-unit-mm` and `--intrinsics` to a verb that reads recordings."""
    for option in (
        click.option("--intrinsics", metavar="FX,FY,CX,CY|FILE", help=f"Intrinsics of the recording: {WANTED}."),
        click.option(
            "--depth-unit-mm",
            type=FiniteRange(0, MAX_UNIT_MM, min_open=True),
            help="Millimeters per raw step of the recording's depth.",
        ),
        click.option("--topic", help="Depth topic of the recording; `handmap inspect` lists them."),
    ):
        verb = option(verb)
    return verb


def read_stated(topic: str | None, depth_unit_mm: float | None, intrinsics: str | None) -> Stated:
    """What these options state.

    Raises ConfigError if `intrinsics` are none.
    """
    return Stated(topic, depth_unit_mm, None if intrinsics is None else _read_intrinsics(intrinsics))


def _read_intrinsics(text: str) -> IntrinsicsConfig:
    if Path(text).suffix in (".yaml", ".yml"):
        return read_config(Path(text), IntrinsicsConfig)
    try:
        fx_px, fy_px, cx_px, cy_px = (float(part) for part in text.split(","))
        return msgspec.convert(dict(fx_px=fx_px, fy_px=fy_px, cx_px=cx_px, cy_px=cy_px), IntrinsicsConfig)
    except ValueError as error:  # msgspec.ValidationError is one
        raise ConfigError(f"--intrinsics: found {text!r} ({error}), wanted {WANTED}") from error
