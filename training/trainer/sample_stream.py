"""Which samples each training step sees, and their batches made ahead of time by threads.

Round r mixes shards r to r + window - 1 and uses each of their hands once, so a hand is used up to `window` times, with a
new warp each time. The samples of a step depend only on the seed: a resumed run continues with exactly the same batches.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from handmap.types.arrays import Bool, Float32

from ..network.guidance import make_maps, reduce_to_cells
from ..samples.augment import augment, draw_warps
from ..samples.labeled_hands import LabeledHands
from ..samples.sample_cache import RenderedHands, read_hands, wait_for_shard
from ..samples.source_mix import LABELED_INDEX, SourceMix, joined
from .train_config import TrainConfig

BATCHES_AHEAD = 3


class TrainingBatch(NamedTuple):
    """depth (N, 1, 128, 128); joints (N, 21, 3) in half cube sides, NaN without a hand or a label; maps (N, K, 32, 32), or None
    for the baseline; weight (N, 21) of each joint in the losses, or None if all count in full."""

    depth: Float32
    joints: Float32
    maps: Float32 | None
    weight: Float32 | None = None


class Share(NamedTuple):
    """Which part of each batch this process trains on: number `rank` of `processes`."""

    rank: int = 0
    processes: int = 1


def rounds_of(config: TrainConfig) -> int:
    """Rounds that the whole budget takes."""
    return -(-config.total_samples // config.round_samples)


def make_batch(rendered: RenderedHands, indices: NDArray[np.int64], epoch: int, config: TrainConfig) -> TrainingBatch:
    """Samples warped under (seed, epoch, index) with the maps of the configured kind, all 0 without a hand.

    The maps of a joint without a label mean nothing; its weight is 0.
    """
    samples = augment(rendered, draw_warps(config.augment, (config.seed, epoch), indices), config.cube_mm)
    kind = config.network.guidance
    maps = None
    if kind is not None:
        has_hand: Bool = np.any(np.isfinite(samples.joints), axis=(1, 2))
        cells = reduce_to_cells(samples.depth[has_hand], samples.is_hand[has_hand])
        hand_maps = make_maps(kind, cells, np.nan_to_num(samples.joints[has_hand]))
        maps = np.zeros((len(has_hand), *hand_maps.shape[1:]), np.float32)
        maps[has_hand] = hand_maps
    return TrainingBatch(samples.depth[:, None], samples.joints, maps, rendered.weight)


class SampleStream:
    """Batches of a training run by step, read from the cache in `folder` and from labeled hands, where the run has such."""

    def __init__(
        self, folder: Path, config: TrainConfig, share: Share, check: Callable[[], None], mix: SourceMix[LabeledHands]
    ) -> None:
        self._folder = folder
        self._config = config
        self._mix = mix
        self._share = share
        self._check = check
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def batches(self, first_step: int, end_step: int) -> Iterator[TrainingBatch]:
        """This process's share of the batches of steps first_step to end_step - 1, in order, made ahead by threads."""
        threads = self._config.loader_threads
        pending: deque[Future[TrainingBatch]] = deque()
        with ThreadPoolExecutor(threads, "loader") as pool:
            try:
                for step in range(first_step, end_step):
                    pending.append(pool.submit(self._load_step, step, self._pick(step)))
                    if len(pending) >= BATCHES_AHEAD + threads:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()

    def round_of(self, step: int) -> int:
        """The round, which is also the first shard, of a step."""
        return step * self._config.batch_samples // self._config.round_samples

    def _pick(self, step: int) -> list[NDArray[np.int64]]:
        """The hands of a step: rendered ones, as places in the shards of its round, then the rows of each labeled source."""
        config = self._config
        epoch = self.round_of(step)
        if self._order[0] != epoch:
            shuffle = np.random.Generator(np.random.Philox(key=(config.seed << 32) | epoch))
            self._order = (epoch, shuffle.permutation(config.round_samples))
        start = step * config.batch_samples % config.round_samples
        labeled = self._mix.picks(step)
        return [self._order[1][start : start + config.batch_samples - sum(map(len, labeled))], *labeled]

    def _load_step(self, step: int, picked: list[NDArray[np.int64]]) -> TrainingBatch:
        """This process's share of a step's batch."""
        epoch = self.round_of(step)
        parts, indices = [], []
        firsts = np.cumsum([0, *map(len, picked)])  # places in the batch
        for number, (rows, first) in enumerate(zip(picked, firsts, strict=False)):
            order = np.argsort(rows)  # files are read from front to back
            own = order[(first + order) % self._share.processes == self._share.rank]
            if len(own) == 0:
                continue
            if number == 0:
                parts.append(self._read_rendered(epoch, rows[own]))
                indices.append(epoch * self._config.cache.shard_samples + rows[own])
            else:
                parts.append(self._mix.sources[number - 1].hands.read(rows[own]))
                # A labeled hand comes up again and again, each time with another warp.
                indices.append(LABELED_INDEX * number + step * self._config.batch_samples + first + own)
        return make_batch(joined(parts), np.concatenate(indices), epoch, self._config)

    def _read_rendered(self, epoch: int, picked: NDArray[np.int64]) -> RenderedHands:
        size = self._config.cache.shard_samples
        parts = []
        for place in np.unique(picked // size):
            shard = epoch + int(place)
            wait_for_shard(self._folder, shard, size, self._check)
            parts.append(read_hands(self._folder, shard, picked[picked // size == place] % size))
        return joined(parts)
