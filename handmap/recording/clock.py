"""The time base of a recording: its period, and times in which steps of the clock and pauses are one period long."""

import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from handmap.types.values import DepthFrame

DEFAULT_PERIOD_NS: Final = 33_333_333
# A camera that loses frames leaves gaps; one this many periods long was paused, or its clock was set.
LONGEST_GAP_PERIODS: Final = 150
SHORTEST_STEP_NS: Final = 10**9  # so that a fast camera may lose the frames of a second


@dataclass(frozen=True)
class ClockStep:
    """A step of the clock, or a pause: before which frame, and how far, ns."""

    frame: int
    gap_ns: int


def median_period_ns(times_ns: list[int]) -> int:
    """The median gap between these times; those that repeat or go back do not count."""
    gaps = [after - before for before, after in pairwise(times_ns) if after > before]
    return round(statistics.median(gaps)) if gaps else DEFAULT_PERIOD_NS


def is_step(gap_ns: int, period_ns: int) -> bool:
    """Whether a gap between frames is no time that passed while recording."""
    return gap_ns < 0 or gap_ns > max(LONGEST_GAP_PERIODS * period_ns, SHORTEST_STEP_NS)


def without_steps(frames: Iterable[DepthFrame], period_ns: int) -> Iterator[DepthFrame]:
    """The frames with a step of the clock, or a pause, made one period long; other times keep their distance."""
    offset_ns, before_ns = 0, None
    for frame in frames:
        if before_ns is not None and is_step(frame.capture_ns - before_ns, period_ns):
            offset_ns += before_ns + period_ns - frame.capture_ns
        before_ns = frame.capture_ns
        yield frame if not offset_ns else replace(frame, capture_ns=frame.capture_ns + offset_ns)


def find_steps(times_ns: list[int], period_ns: int) -> tuple[ClockStep, ...]:
    """The steps and pauses among the times of successive frames."""
    gaps = (after - before for before, after in pairwise(times_ns))
    return tuple(ClockStep(number, gap) for number, gap in enumerate(gaps, 1) if is_step(gap, period_ns))
