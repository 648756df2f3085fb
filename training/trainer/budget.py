"""A budget in wall time: how it is written, and the clock that every process of a run agrees on."""

import re
import time
from typing import Final

import torch
from torch import distributed

SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
DURATION: Final = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)([smh])")


def parse_duration(text: str) -> float:
    """Seconds of a duration such as 90s, 9m or 1.5h.

    Raises ValueError, with the place of the key, if it is not a duration, or not positive.
    """
    found = DURATION.fullmatch(text)
    seconds = float(found[1]) * SECONDS[found[2]] if found else 0.0
    if seconds <= 0:
        raise ValueError(f"expected a number with s, m or h, such as 9m, got {text!r} - at `$.budget`")
    return seconds


class Clock:
    """Seconds that a run has taken, with those that it had taken before it was stopped; time between the two is not counted."""

    def __init__(self, started_s: float, carried_s: float) -> None:
        """started_s is of time.monotonic, carried_s from the checkpoint."""
        self._zero_s = started_s - carried_s

    def elapsed_s(self) -> float:
        """By the first process's clock where there are several, so that all of them slow down and end at the same step."""
        elapsed = torch.tensor(time.monotonic() - self._zero_s, dtype=torch.float64)
        if distributed.is_initialized():
            distributed.broadcast(elapsed, 0)
        return elapsed.item()
