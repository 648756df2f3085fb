"""Where a run's batches come from: the cache of rendered hands on disk, or the pool on the device.

The cache gives every run of a configuration the same batches, to the bit; the pool gives as many as the device can take.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ..samples.drawing import Drawers
from ..samples.labeled_hands import LabeledHands, open_labeled_hands
from ..samples.sample_cache import ShardMaker, open_cache
from ..samples.source_mix import SourceMix
from ..synthesis.synthetic import render_samples
from .distributed import Place
from .pool_stream import DeviceBatch, PoolStream
from .sample_stream import SampleStream, TrainingBatch, rounds_of
from .sources import mix_sources
from .train_config import TrainConfig

COMPILED_BY = 24  # samples that between them go through everything that numba compiles


@contextmanager
def open_stream(config: TrainConfig, place: Place, step: int) -> Iterator[Iterator[DeviceBatch]]:
    """This process's share of the batches from `step` to the end of the budget, on its device; whoever draws ends with the block."""
    if config.stream == "pool":
        # Before the drawers start, or each would compile for itself.
        render_samples(0, COMPILED_BY)
        with Drawers(_count_drawers(config, place), (config.seed, place.share.rank, step)) as drawers:
            yield PoolStream(drawers, config, place.share, place.device).batches(step, config.steps)
        return
    mix = open_mix(config)
    folder = open_cache(config.cache) if config.renders else config.cache.folder
    if not place.is_renderer or not config.renders:
        yield _follow(SampleStream(folder, config, place.share, _do_nothing, mix), None, config, place, step)
        return
    with ShardMaker(folder, config.cache, rounds_of(config) + config.cache.window_shards - 2) as maker:
        yield _follow(SampleStream(folder, config, place.share, maker.check, mix), maker, config, place, step)


def open_mix(config: TrainConfig) -> SourceMix[LabeledHands]:
    """The labeled sources of a run, cut out where that has not been done yet."""
    return mix_sources(
        config.sources, lambda data: open_labeled_hands(data, config.labeled_cache), config.batch_samples, config.seed
    )


def _count_drawers(config: TrainConfig, place: Place) -> int:
    """As configured; of 0, this process's share of the cores but one."""
    cores = len(os.sched_getaffinity(0)) // place.neighbors
    return config.pool.drawers or max(1, cores - 1)


def _do_nothing() -> None:
    """The check of a process that renders nothing itself."""


def _follow(
    stream: SampleStream, maker: ShardMaker | None, config: TrainConfig, place: Place, step: int
) -> Iterator[DeviceBatch]:
    """The cache's batches from `step` on, telling the maker of samples how far training is."""
    if maker is not None:
        maker.move_to(stream.round_of(step))
    for batch in stream.batches(step, config.steps):
        yield _to_device(batch, place.device)
        step += 1
        if maker is not None:
            maker.move_to(stream.round_of(step))


def _to_device(batch: TrainingBatch, device: torch.device) -> DeviceBatch:
    depth, joints = (torch.from_numpy(array).to(device, non_blocking=True) for array in (batch.depth, batch.joints))
    maps, weight = (
        None if array is None else torch.from_numpy(array).to(device, non_blocking=True)
        for array in (batch.maps, batch.weight)
    )  # fmt: skip
    return DeviceBatch(depth, joints, maps, weight)
