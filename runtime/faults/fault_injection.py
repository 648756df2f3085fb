"""A camera, an engine and a socket that fail by a schedule, around ones that work: what the daemon is tried with."""

import errno
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from handmap.engines.engine import CroppingEngine, Engine, EngineOutput, Engines
from handmap.types.arrays import Array, Int32
from handmap.types.errors import CameraLost, EngineFailed
from handmap.types.values import DepthFrame, HandRoi

from ..cameras.camera import Camera
from ..publish import Address, Sender
from .fault_schedule import FaultKind, FaultSchedule

ALL_FAR_MM: Final = 6000.0  # beyond every range that can be configured
SATURATED: Final = 65535
STEP_BACK_NS: Final = 10 * 10**9
ERRNOS: Final[dict[FaultKind, int]] = {
    "socket_enobufs": errno.ENOBUFS,
    "socket_enetunreach": errno.ENETUNREACH,
    "socket_eperm": errno.EPERM,
}


class FaultyCamera:
    """The camera `inner` with the faults of the schedule."""

    def __init__(self, inner: Camera, schedule: FaultSchedule) -> None:
        self.name = f"faulty {inner.name}"
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
            raise CameraLost("faulty camera: it was unplugged, as its schedule says; wait until it is back")
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

    def taken(self) -> None:
        """See `Camera`."""
        self._inner.taken()

    def published(self) -> None:
        """See `Camera`."""
        self._inner.published()

    def close(self) -> None:
        """See `Camera`."""
        self._schedule.hang("stop_hangs")
        self._inner.close()


class FaultyEngine:
    """The engine `inner` with the faults of the schedule."""

    def __init__(self, inner: Engine, schedule: FaultSchedule) -> None:
        self.batch, self.precision, self.tensors = inner.batch, inner.precision, inner.tensors
        self._inner = inner
        self._schedule = schedule

    def infer(self, depth: Array) -> EngineOutput:
        """See `handmap.engines.engine.Engine`."""
        self._raise_if_due()
        return self._spoiled(self._inner.infer(depth))

    def close(self) -> None:
        """See `handmap.engines.engine.Engine`."""
        self._inner.close()

    def _raise_if_due(self) -> None:
        if self._schedule.is_active("engine_raises"):
            raise EngineFailed("faulty engine: it failed, as its schedule says; wait until that is over")

    def _spoiled(self, output: EngineOutput) -> EngineOutput:
        for kind, value in (("engine_nan", np.nan), ("engine_inf", np.inf)):
            if self._schedule.is_active(kind):  # type: ignore[arg-type]  # both are kinds
                output = replace(output, joints=output.joints * 0 + np.float32(value))
        return output


class FaultyCroppingEngine(FaultyEngine):
    """The same of an engine that crops by itself."""

    def __init__(self, inner: CroppingEngine, schedule: FaultSchedule) -> None:
        super().__init__(inner, schedule)
        self._crops = inner.infer_rois

    def infer_rois(self, frame: DepthFrame, views: Sequence[HandRoi]) -> tuple[EngineOutput, Int32]:
        """See `handmap.engines.engine.CroppingEngine`."""
        self._raise_if_due()
        output, filled = self._crops(frame, views)
        return self._spoiled(output), filled


class FaultySender:
    """The socket `inner` with the faults of the schedule."""

    def __init__(self, inner: Sender, schedule: FaultSchedule) -> None:
        self._inner = inner
        self._schedule = schedule

    def sendto(self, data: bytes, address: Address, /) -> int:
        """See `Sender`."""
        for kind, number in ERRNOS.items():
            if self._schedule.is_active(kind):
                raise OSError(number, os.strerror(number))
        return self._inner.sendto(data, address)

    def close(self) -> None:
        """See `Sender`."""
        self._inner.close()


def faulty_opener(open_inner: Callable[[], Camera], schedule: FaultSchedule) -> Callable[[], Camera]:
    """Opens the inner camera, with the faults of the schedule, wherever that lets it."""

    def open_faulty() -> Camera:
        schedule.hang("open_hangs")
        if schedule.is_active("unplugged"):
            raise CameraLost("faulty camera: it is not plugged in, as its schedule says; wait until it is")
        return FaultyCamera(open_inner(), schedule)

    return open_faulty


def faulty_engines(engines: Engines, schedule: FaultSchedule) -> Engines:
    """The engines, the one for hands with the faults of the schedule."""
    hand = engines.hand
    if isinstance(hand, CroppingEngine):
        return replace(engines, hand=FaultyCroppingEngine(hand, schedule))
    return replace(engines, hand=FaultyEngine(hand, schedule))


def _spoiled(frame: DepthFrame, schedule: FaultSchedule) -> DepthFrame:
    depth, intrinsics = frame.depth, frame.intrinsics
    frame = replace(frame, on_gpu=None)  # what is spoiled lies on the host
    if schedule.is_active("all_zero"):
        frame = replace(frame, depth=np.zeros_like(depth))
    if schedule.is_active("all_far"):
        frame = replace(frame, depth=np.full_like(depth, min(round(ALL_FAR_MM / frame.depth_unit_mm), SATURATED)))
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
