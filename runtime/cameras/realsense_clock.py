"""Maps the camera's clock, which can drift, wrap, be set or step, to CLOCK_MONOTONIC, which does not."""

from collections import deque
from typing import Final

WINDOW_NS: Final = 2 * 10**9  # a drift of 100 ppm adds up to 0.2 ms in this time
STEP_NS: Final = 250_000_000  # a frame is rarely delayed this long; a clock that was set is usually off by more
STEADY_NS: Final = 30_000_000  # delayed frames arrive closer together than they were taken; frames after a step do not
STEADY_FRAMES: Final = 5


class CameraClock:
    """Maps camera times by the smallest recent delay: of the frames in the window, one was delayed least.

    A capture time is therefore late by that smallest delay (exposure, readout and USB), which cannot be observed here,
    but free of the jitter on top of it.
    """

    def __init__(self) -> None:
        self._delays: deque[tuple[int, int]] = deque()  # (arrival_ns, arrival_ns - camera_ns)
        self._odd: deque[int] = deque(maxlen=STEADY_FRAMES)  # consecutive outlying delays

    def capture_ns(self, camera_ns: int, arrival_ns: int) -> int:
        """The capture time, CLOCK_MONOTONIC, of a frame stamped camera_ns that arrived at arrival_ns.

        It is far from arrival_ns for a delayed frame, and for the few frames between a clock step and its detection.
        """
        delay_ns = arrival_ns - camera_ns
        min_ns = self._least_ns(arrival_ns)
        if min_ns is not None and abs(delay_ns - min_ns) > STEP_NS:
            self._odd.append(delay_ns)
            if len(self._odd) < STEADY_FRAMES or max(self._odd) - min(self._odd) > STEADY_NS:
                return camera_ns + min_ns
            self._delays.clear()
        self._odd.clear()
        self._delays.append((arrival_ns, delay_ns))
        return camera_ns + min(delay for _, delay in self._delays)

    def _least_ns(self, now_ns: int) -> int | None:
        """The smallest delay in the window; older entries are dropped, except that the newest stays until another arrives."""
        while len(self._delays) > 1 and self._delays[0][0] < now_ns - WINDOW_NS:
            self._delays.popleft()
        return min((delay for _, delay in self._delays), default=None)
