"""Which labeled hands join the rendered ones in each training batch: by weight, shuffled, each source a round of its own.

What a step takes depends on the seed and the step alone, so a resumed run goes on with the same samples.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .labeled_hands import LabeledHands
from .sample_cache import RenderedHands

LABELED_INDEX = (
    1 << 40
)  # index of a labeled hand's warp, beyond those of rendered hands; and again for each further source


@dataclass(frozen=True)
class LabeledSource:
    """Labeled hands and their share of every batch, over (0, 1]."""

    hands: LabeledHands
    share: float


@dataclass(frozen=True)
class SourceMix:
    """The labeled sources of a run. Without rendered hands the shares add up to 1."""

    sources: Sequence[LabeledSource]
    batch_samples: int
    seed: int

    def picks(self, step: int) -> list[NDArray[np.int64]]:
        """The rows that a step takes of each source; over many steps their numbers keep to the shares."""
        return [self._pick(number, step) for number in range(len(self.sources))]

    def rendered_count(self, step: int) -> int:
        """How many samples of a step's batch are left to rendered hands."""
        return self.batch_samples - sum(self._end(number, step + 1) - self._end(number, step) for number in self._all())

    def _all(self) -> range:
        return range(len(self.sources))

    def _end(self, number: int, step: int) -> int:
        """How many samples this source has given before a step. Rounded on the sum of the shares up to it, so that whole
        batches stay full."""
        before = math.fsum(source.share for source in self.sources[:number])
        total = step * self.batch_samples
        return round(total * min(before + self.sources[number].share, 1.0)) - round(total * before)

    def _pick(self, number: int, step: int) -> NDArray[np.int64]:
        size = len(self.sources[number].hands)
        places = np.arange(self._end(number, step), self._end(number, step + 1))
        rows = np.empty(len(places), np.int64)
        for epoch in np.unique(places // size).tolist():
            inside = places // size == epoch
            shuffle = np.random.Generator(np.random.Philox(key=(self.seed << 32) | (number << 24) | epoch))
            rows[inside] = shuffle.permutation(size)[places[inside] % size]
        return rows


def joined(parts: Sequence[RenderedHands]) -> RenderedHands:
    """Several lots of hands as one; weights are there if any of them has some."""
    weights = None
    if any(part.weight is not None for part in parts):
        weights = np.concatenate(
            [np.ones(part.joints_mm.shape[:2], np.float32) if part.weight is None else part.weight for part in parts]
        )
    canvas, is_hand, joints_mm = (np.concatenate(arrays) for arrays in zip(*(part[:3] for part in parts), strict=True))
    return RenderedHands(canvas, is_hand, joints_mm, weights)
