"""The schedule of faults that a faulty camera, engine and socket share; it only tells which fault is active when."""

import time
from typing import Annotated, Literal, TypeAlias

import msgspec

FaultKind: TypeAlias = Literal[
    "unplugged", "stalled", "frozen", "all_zero", "all_far", "saturated", "other_resolution", "other_intrinsics",
    "clock_steps_back", "open_hangs", "wait_hangs", "stop_hangs",
    "engine_raises", "engine_hangs", "engine_nan", "engine_inf",
    "socket_enobufs", "socket_enetunreach", "socket_eperm",
]  # fmt: skip


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault of a camera, engine or socket, and when it is active, counted from the start of the daemon."""

    kind: FaultKind  # what fails
    start_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0  # when it first begins
    duration_s: Annotated[float, msgspec.Meta(gt=0)] | None = None  # how long it lasts; null: forever
    period_s: Annotated[float, msgspec.Meta(gt=0)] | None = (
        None  # time from one start to the next; null: it happens once
    )

    def __post_init__(self) -> None:
        if self.period_s is not None and (self.duration_s is None or self.duration_s >= self.period_s):
            raise ValueError(f"period_s must be above duration_s, found {self.period_s} and {self.duration_s}")


class FaultSchedule:
    """The faults of one run, on a clock that starts now and runs `clock_scale` times as fast as real time."""

    def __init__(self, faults: tuple[Fault, ...] = (), clock_scale: float = 1.0) -> None:
        self._faults = faults
        self._clock_scale = clock_scale
        self._start_s = time.monotonic()

    @property
    def is_empty(self) -> bool:
        """Whether nothing will ever fail."""
        return not self._faults

    def is_active(self, kind: FaultKind) -> bool:
        """Whether a fault of this kind is active now."""
        return any(_is_active(fault, self._now_s()) for fault in self._faults if fault.kind == kind)

    def begun(self, kind: FaultKind) -> int:
        """How often a fault of this kind has begun so far; reveals one that came and went between two calls."""
        return sum(_begun(fault, self._now_s()) for fault in self._faults if fault.kind == kind)

    def hang(self, kind: FaultKind) -> None:
        """Blocks while a fault of this kind is active."""
        while self.is_active(kind):
            time.sleep(0.01)

    def _now_s(self) -> float:
        return (time.monotonic() - self._start_s) * self._clock_scale


def _begun(fault: Fault, now_s: float) -> int:
    since_s = now_s - fault.start_s
    if since_s < 0:
        return 0
    return 1 if fault.period_s is None else 1 + int(since_s / fault.period_s)


def _is_active(fault: Fault, now_s: float) -> bool:
    since_s = now_s - fault.start_s
    if fault.period_s is not None and since_s >= 0:
        since_s %= fault.period_s
    return since_s >= 0 and (fault.duration_s is None or since_s < fault.duration_s)
