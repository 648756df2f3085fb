"""Which labeled hands join the rendered ones in each training batch: by weight, shuffled, each source a round of its own.

What a step takes depends on the seed and the step alone, so a resumed run goes on with the same samples.
"""

import math
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from .sample_cache import RenderedHands

LABELED_INDEX = (
    1 << 40
)  # index of a labeled hand's warp, beyond those of rendered hands; and again for each further source


Hands = TypeVar("Hands", bound=Sized)


@dataclass(frozen=True)
class LabeledSource(Generic[Hands]):
    """Labeled hands and their share of every batch, over (0, 1]."""

    hands: Hands
    share: float


@dataclass(frozen=True)
class SourceMix(Generic[Hands]):
    """The labeled sources of a run. Rendered hands fill the rest of each batch; without them the shares add up to 1."""

    sources: Sequence[LabeledSource[Hands]]
    batch_samples: int
    seed: int

    def picks(self, step: int) -> list[NDArray[np.int64]]:
        """The rows that a step takes of each source; over many steps their numbers keep to the shares."""
        return [self._pick(number, step) for number in range(len(self.sources))]

    def _given(self, number: int, step: int) -> int:
        """How many samples this source has given before a step. Rounded on the sum of the shares up to it, so that whole
        batches stay full."""
        before = math.fsum(source.share for source in self.sources[:number])
        total = step * self.batch_samples
        return round(total * min(before + self.sources[number].share, 1.0)) - round(total * before)

    def _pick(self, number: int, step: int) -> NDArray[np.int64]:
        size = len(self.sources[number].hands)
        places = range(self._given(number, step), self._given(number, step + 1))
        return np.array([_order(self.seed, number, place // size, size)[place % size] for place in places], np.int64)


@lru_cache(maxsize=32)
def _order(seed: int, number: int, epoch: int, size: int) -> NDArray[np.int64]:
    """In which order a round goes through the `size` hands of source `number`."""
    return np.random.Generator(np.random.Philox(key=(seed << 32) | (number << 24) | epoch)).permutation(size)


def joined(parts: Sequence[RenderedHands]) -> RenderedHands:
    """Several lots of hands as one; weights are there if any of them has some."""
    weights = None
    if any(part.weight is not None for part in parts):
        weights = np.concatenate(
            [np.ones(part.joints_mm.shape[:2], np.float32) if part.weight is None else part.weight for part in parts]
        )
    canvas, is_hand, joints_mm = (np.concatenate(arrays) for arrays in zip(*(part[:3] for part in parts), strict=True))
    return RenderedHands(canvas, is_hand, joints_mm, weights)
