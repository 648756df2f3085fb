"""This process among those that `torchrun` has started, or alone: its share of each batch, its device, its end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import distributed

from handmap.errors import ConfigError

from .sample_stream import Share


class Place(NamedTuple):
    """Which share of the batches is ours, on which device, and whether we are the one of this machine that renders samples."""

    share: Share
    device: torch.device
    is_renderer: bool

    @property
    def is_first(self) -> bool:
        """Whether this process writes checkpoints and shows progress."""
        return self.share.rank == 0


@contextmanager
def join_processes(batch_samples: int) -> Iterator[Place]:
    """Our place, from the variables that `torchrun` sets; without them, the whole of every batch on the first device.

    Raises ConfigError where the batch cannot be shared evenly.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    rank, local = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
    has_gpu = torch.cuda.is_available()
    device = torch.device("cuda", local) if has_gpu else torch.device("cpu")
    if batch_samples % count:
        raise ConfigError(
            f"training on {count} processes: batch_samples = {batch_samples} cannot be shared evenly; take a multiple of {count}"
        )
    if count == 1:
        yield Place(Share(), device, True)
        return
    if has_gpu:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if has_gpu else "gloo")
    try:
        yield Place(Share(rank, count), device, local == 0)
    finally:
        distributed.destroy_process_group()
