"""An engine and a socket that wrap working ones and fail by a schedule: the faults beside those of the camera."""

import errno
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from handmap.engines.engine import CroppingEngine, Engine, EngineOutput, Engines
from handmap.types.arrays import Array, Int32
from handmap.types.errors import EngineFailed
from handmap.types.values import DepthFrame, HandRoi

from .fault_schedule import FaultKind, FaultSchedule

ERRNOS: Final[dict[FaultKind, int]] = {
    "socket_enobufs": errno.ENOBUFS,
    "socket_enetunreach": errno.ENETUNREACH,
    "socket_eperm": errno.EPERM,
}


class FaultyEngine:
    """The engine `inner` with the faults of the schedule."""

    def __init__(self, inner: Engine, schedule: FaultSchedule) -> None:
        self.batch, self.precision, self.tensors = inner.batch, inner.precision, inner.tensors
        self._inner = inner
        self._schedule = schedule

    def infer(self, depth: Array) -> EngineOutput:
        """See `handmap.engines.engine.Engine`."""
        self._fail_if_due()
        return self._spoiled(self._inner.infer(depth))

    def close(self) -> None:
        """See `handmap.engines.engine.Engine`."""
        self._inner.close()

    def _fail_if_due(self) -> None:
        self._schedule.hang("engine_hangs")
        if self._schedule.is_active("engine_raises"):
            raise EngineFailed("faulty engine: failed by its schedule; wait until the fault ends")

    def _spoiled(self, output: EngineOutput) -> EngineOutput:
        for kind, value in (("engine_nan", np.nan), ("engine_inf", np.inf)):
            if self._schedule.is_active(kind):  # type: ignore[arg-type]  # both are kinds
                output = replace(output, joints=output.joints * 0 + np.float32(value))
        return output


class FaultyCroppingEngine(FaultyEngine):
    """The same for an engine that does its own cropping."""

    def __init__(self, inner: CroppingEngine, schedule: FaultSchedule) -> None:
        super().__init__(inner, schedule)
        self._crops = inner.infer_rois

    def infer_rois(self, frame: DepthFrame, rois: Sequence[HandRoi]) -> tuple[EngineOutput, Int32]:
        """See `handmap.engines.engine.CroppingEngine`."""
        self._fail_if_due()
        output, filled = self._crops(frame, rois)
        return self._spoiled(output), filled


def faulty_engines(engines: Engines, schedule: FaultSchedule) -> Engines:
    """The engines, with the faults of the schedule in the hand engine."""
    hand = engines.hand
    if isinstance(hand, CroppingEngine):
        return replace(engines, hand=FaultyCroppingEngine(hand, schedule))
    return replace(engines, hand=FaultyEngine(hand, schedule))


def raise_socket_fault(schedule: FaultSchedule) -> None:
    """Raises the OSError that a socket would while a socket fault is active."""
    for kind, number in ERRNOS.items():
        if schedule.is_active(kind):
            raise OSError(number, os.strerror(number))
