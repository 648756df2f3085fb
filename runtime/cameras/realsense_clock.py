"""From the camera's clock to CLOCK_MONOTONIC. The camera's may drift, wrap, be set and step; ours does not."""

from collections import deque
from typing import Final

WINDOW_NS: Final = 2 * 10**9  # in which a drift of 100 ppm makes 0.2 ms
STEP_NS: Final = 250_000_000  # a frame is rarely held up for so long, a clock that was set is mostly off by more
STEADY_NS: Final = 30_000_000  # frames held up come closer together than they were taken, frames after a step do not
STEADY_FRAMES: Final = 5


class CameraClock:
    """Maps times of the camera's clock by the least delay of late: of the frames of the last seconds, one was held up least.

    So a capture time is late by that least delay (exposure, readout and USB), which cannot be seen from here, and free of the
    jitter on top of it.
    """

    def __init__(self) -> None:
        self._delays: deque[tuple[int, int]] = deque()  # (arrival_ns, arrival_ns - camera_ns)
        self._odd: deque[int] = deque(maxlen=STEADY_FRAMES)  # delays far from the others, in a row

    def capture_ns(self, camera_ns: int, arrival_ns: int) -> int:
        """The capture time, CLOCK_MONOTONIC, of a frame stamped camera_ns that arrived at arrival_ns.

        It is far from arrival_ns for a frame that was held up, and for the few between a step of the clock and its discovery.
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
        """The least delay in the window; what is older leaves it, but for the newest, which stays until another comes."""
        while len(self._delays) > 1 and self._delays[0][0] < now_ns - WINDOW_NS:
            self._delays.popleft()
        return min((delay for _, delay in self._delays), default=None)
