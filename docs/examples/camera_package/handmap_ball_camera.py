"""A made-up depth camera: a ball that swings in front of a wall. A real one asks its SDK where this one draws."""

import math
import time
from functools import partial
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from handmap.recording.cameras import CameraSource
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame

WALL_MM = 900
RADIUS_MM = 45.0


class BallConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="ball"):
    """The section `camera` with `kind: ball`: every key, with its bounds and its default."""

    fps: Annotated[int, msgspec.Meta(ge=1, le=120)] = 30  # frame rate
    distance_mm: Annotated[float, msgspec.Meta(ge=200, le=800)] = 450.0  # of the ball

    def source(self) -> CameraSource:
        """What opens the camera, each time that it was lost. Import the SDK here: nobody else needs it."""
        return CameraSource(partial(BallCamera, self))


class BallCamera:
    """One opening of the camera. It is made, read and closed by one thread."""

    has_ended = False  # a live camera never does

    def __init__(self, config: BallConfig) -> None:
        # Raise handmap.types.errors.CameraLost where it is not plugged in, and Fatal where it never will do what is asked.
        self.name = f"ball at {config.distance_mm:g} mm"
        self._config = config
        self._lens = Intrinsics(width_px=320, height_px=240, fx_px=240.0, fy_px=240.0, cx_px=159.5, cy_px=119.5)
        self._frame_number = 0
        self._due_s = time.monotonic()

    def wait_frame(self, timeout_s: float) -> DepthFrame | None:
        """The next frame, or None after timeout_s; raises CameraLost where the camera has gone."""
        wait_s = self._due_s - time.monotonic()
        time.sleep(min(max(wait_s, 0.0), timeout_s))
        if wait_s > timeout_s:
            return None
        self._due_s = max(self._due_s + 1 / self._config.fps, time.monotonic())
        self._frame_number += 1
        # The capture time is CLOCK_MONOTONIC; a camera with a clock of its own maps it, and says TimestampSource.CAMERA.
        return DepthFrame(self._draw(), 1.0, self._lens, self._frame_number, time.monotonic_ns())

    def close(self) -> None:
        """Frees the device."""

    def _draw(self) -> NDArray[np.uint16]:
        """Depth (height, width) uint16, here in steps of 1 mm, 0 where nothing was measured."""
        v, u = np.indices((self._lens.height_px, self._lens.width_px))
        z_mm = self._config.distance_mm
        x_mm = (u - self._lens.cx_px) * z_mm / self._lens.fx_px - 60 * math.sin(2 * time.monotonic())
        y_mm = (v - self._lens.cy_px) * z_mm / self._lens.fy_px
        bulge_mm = np.sqrt(np.maximum(RADIUS_MM**2 - x_mm**2 - y_mm**2, 0))
        return np.where(bulge_mm > 0, z_mm - bulge_mm, WALL_MM).astype(np.uint16)
