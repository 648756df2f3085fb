"""Training batches from a pool of rendered hands on the training device: rendered by other processes, warped and mapped there.

A hand can be picked several times before newer ones replace it, with a new warp each time, so training never waits for
rendering. The contents of the pool depend on rendering speed, so unlike the cache stream, runs are not reproducible.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handmap.types.arrays import Float32
from handmap.types.errors import ConfigError
from handmap.types.joints import JOINT_COUNT

from ..network.device_guidance import make_device_maps, reduce_on_device
from ..samples.device_augment import PackedPool, augment_on_device, draw_device_warps
from ..samples.drawing import CELLS, SLOT_SAMPLES, Drawers
from .sample_stream import Share
from .train_config import TrainConfig

MIN_BATCHES: Final = 8  # in the pool before the first step
POLL_S: Final = 1.0


class DeviceBatch(NamedTuple):
    """As `sample_stream.TrainingBatch`, as tensors on the device that trains."""

    depth: Tensor
    joints: Tensor
    maps: Tensor | None
    weight: Tensor | None = None


class CanvasPool:
    """The newest `samples` rendered hands, rounded up to whole slots, on a device."""

    def __init__(self, samples: int, device: torch.device) -> None:
        """Takes its memory, 51 kB a sample. Raises ConfigError where a GPU has less."""
        size = -(-samples // SLOT_SAMPLES) * SLOT_SAMPLES
        try:
            self.hands = PackedPool(
                torch.empty((size, CELLS), dtype=torch.int16, device=device),
                torch.empty((size, JOINT_COUNT, 3), device=device),
            )
        except torch.OutOfMemoryError as error:
            raise ConfigError(
                f"pool of {size} samples: it needs {size * CELLS * 2 / 1e9:.1f} GB, which the GPU does not have free; lower pool.samples"
            ) from error
        self._added = 0

    @property
    def filled(self) -> int:
        """How many of its rows hold a hand."""
        return min(self._added, len(self.hands.canvas))

    def add(self, canvas: NDArray[np.int16], joints_mm: Float32) -> None:
        """Copies one slot to the place of the oldest."""
        start = self._added % len(self.hands.canvas)
        rows = slice(start, start + len(canvas))
        self.hands.canvas[rows].copy_(torch.from_numpy(canvas))
        self.hands.joints_mm[rows].copy_(torch.from_numpy(joints_mm))
        self._added += len(canvas)


class PoolStream:
    """This process's share of every batch, from its own pool and drawers."""

    def __init__(self, drawers: Drawers, config: TrainConfig, share: Share, device: torch.device) -> None:
        self._drawers = drawers
        self._config = config
        self._share = share
        self._pool = CanvasPool(config.pool.samples, device)
        self._generator = torch.Generator(device)

    def batches(self, first_step: int, end_step: int) -> Iterator[DeviceBatch]:
        """Batches of steps first_step to end_step - 1."""
        count = self._config.batch_samples // self._share.processes
        least = min(MIN_BATCHES * count, len(self._pool.hands.canvas))
        while self._pool.filled < least:
            self._drawers.collect(self._pool.add, POLL_S)
        for step in range(first_step, end_step):
            self._drawers.collect(self._pool.add)
            yield self._make_batch(step, count)

    @torch.no_grad()
    def _make_batch(self, step: int, count: int) -> DeviceBatch:
        config, generator = self._config, self._generator
        # As for dropout: so that a resumed run does not begin with the warps of its first steps.
        generator.manual_seed(hash((config.seed, step, self._share.rank)))
        rows = torch.randint(self._pool.filled, (count,), device=generator.device, generator=generator)
        warps = draw_device_warps(config.augment, count, generator)
        samples = augment_on_device(self._pool.hands, rows, warps, config.cube_mm, generator)
        maps, kind = None, config.network.guidance
        if kind is not None:
            maps = make_device_maps(kind, reduce_on_device(samples.depth, samples.is_hand), samples.joints)
        return DeviceBatch(samples.depth[:, None], samples.joints, maps)
