"""A camera that wraps a working one and fails by a schedule, and its configuration."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Final

import msgspec
import numpy as np

from handmap.recording.cameras import Camera, CameraConfig, CameraSource, Checked, Rated
from handmap.types.errors import CameraLost
from handmap.types.values import DepthFrame

from .fault_schedule import Fault, FaultSchedule

FAR_MM: Final = 6000.0  # beyond any range that can be configured
SATURATED: Final = 65535
STEP_BACK_NS: Final = 10 * 10**9


class FaultyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="faulty"):
    """A camera with injected faults, for testing; some kinds of fault affect the engine or the sockets."""

    camera: CameraConfig  # the camera to wrap: a section of another kind
    faults: tuple[Fault, ...] = ()  # what fails, and when
    clock_scale: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 1.0  # how much faster than real time the schedule runs

    def __post_init__(self) -> None:
        if isinstance(self.camera, FaultyConfig):
            raise ValueError("Expected a camera of another kind inside a faulty camera")

    def check(self) -> None:
        """See `Checked`; checks the wrapped camera."""
        if isinstance(self.camera, Checked):
            self.camera.check()

    def source(self) -> CameraSource:
        """See `CameraConfig`; the schedule starts now."""
        return self.source_with(self.schedule())

    def schedule(self) -> FaultSchedule:
        """The schedule, starting now."""
        return FaultSchedule(self.faults, self.clock_scale)

    def source_with(self, schedule: FaultSchedule) -> CameraSource:
        """The source of the wrapped camera, with the faults of this schedule."""
        source = self.camera.source()
        return replace(source, open=faulty_opener(source.open, schedule))


class FaultyCamera:
    """The camera `inner` with the faults of the schedule."""

    def __init__(self, inner: Camera, schedule: FaultSchedule) -> None:
        self.name = f"faulty {inner.name}"
        self.rate_hz = inner.rate_hz if isinstance(inner, Rated) else None
        self._inner = inner
        self._schedule = schedule
        self._unplugged_before = schedule.begun("unplugged")
        self._last: DepthFrame | None = None

    @property
    def has_ended(self) -> bool:
        """See `Camera`."""
        return self._inner.has_ended

    def wait_frame(self, timeout_s: float) -> DepthFrame | None:
        """See `Camera`."""
        schedule = self._schedule
        schedule.hang("wait_hangs")
        if schedule.begun("unplugged") > self._unplugged_before:
            raise CameraLost("faulty camera: unplugged by its schedule; wait until it is back")
        if schedule.is_active("stalled"):
            time.sleep(timeout_s)
            return None
        frame = self._inner.wait_frame(timeout_s)
        if frame is None:
            return None
        if self._last is not None and schedule.is_active("frozen"):
            return self._last
        self._last = _spoiled(frame, schedule)
        return self._last

    def close(self) -> None:
        """See `Camera`."""
        self._schedule.hang("stop_hangs")
        self._inner.close()


def source_and_faults(config: CameraConfig) -> tuple[CameraSource, FaultSchedule]:
    """The source of the configured camera, and the faults it shares with engines and sockets; none unless it is faulty."""
    if not isinstance(config, FaultyConfig):
        return config.source(), FaultSchedule()
    schedule = config.schedule()
    return config.source_with(schedule), schedule


def faulty_opener(open_inner: Callable[[], Camera], schedule: FaultSchedule) -> Callable[[], Camera]:
    """Opens the inner camera, with the faults of the schedule, unless a fault prevents it."""

    def open_faulty() -> Camera:
        schedule.hang("open_hangs")
        if schedule.is_active("unplugged"):
            raise CameraLost("faulty camera: still unplugged by its schedule; wait until it is back")
        return FaultyCamera(open_inner(), schedule)

    return open_faulty


def _spoiled(frame: DepthFrame, schedule: FaultSchedule) -> DepthFrame:
    depth, intrinsics = frame.depth, frame.intrinsics
    frame = replace(frame, on_gpu=None)  # the faults modify the copy on the host
    if schedule.is_active("all_zero"):
        frame = replace(frame, depth=np.zeros_like(depth))
    if schedule.is_active("all_far"):
        frame = replace(frame, depth=np.full_like(depth, min(round(FAR_MM / frame.depth_unit_mm), SATURATED)))
    if schedule.is_active("saturated"):
        frame = replace(frame, depth=np.where(depth > 0, np.uint16(SATURATED), depth))
    if schedule.is_active("other_intrinsics"):
        frame = replace(
            frame, intrinsics=replace(intrinsics, fx_px=intrinsics.fx_px * 1.25, fy_px=intrinsics.fy_px * 1.25)
        )
    if schedule.is_active("other_resolution"):
        half = replace(
            intrinsics, width_px=(intrinsics.width_px + 1) // 2, height_px=(intrinsics.height_px + 1) // 2,
            fx_px=intrinsics.fx_px / 2, fy_px=intrinsics.fy_px / 2, cx_px=intrinsics.cx_px / 2, cy_px=intrinsics.cy_px / 2,
        )  # fmt: skip
        frame = replace(frame, depth=frame.depth[::2, ::2], intrinsics=half)
    if schedule.is_active("clock_steps_back"):
        frame = replace(frame, capture_ns=frame.capture_ns - STEP_BACK_NS)
    return frame
