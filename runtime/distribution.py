"""A histogram of values that can be read while one thread adds to it."""

from bisect import bisect_left
from collections.abc import Sequence


class Distribution:
    """All values ever added: how many are at most each bound, in ascending order, and their sum. Adding one is constant work."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.total = 0.0
        self._counts = [0] * (len(self.bounds) + 1)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many values lie in each bucket, the last for those above every bound."""
        return tuple(self._counts)

    def add(self, value: float) -> None:
        """Adds a value; one that equals a bound lies below it."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.total += value
