"""This process among those that `torchrun` has started, or alone: its share of each batch, its device, its end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import distributed

from handmap.types.errors import ConfigError

from .sample_stream import Share
from .train_config import DeviceKind


class Place(NamedTuple):
    """Which share of the batches is ours, on which device, and whether we are the one of this machine that renders to the cache.

    neighbors is how many processes share this machine, ourselves included.
    """

    share: Share
    device: torch.device
    is_renderer: bool
    neighbors: int

    @property
    def is_first(self) -> bool:
        """Whether this process writes checkpoints and shows progress."""
        return self.share.rank == 0


@contextmanager
def join_processes(batch_samples: int, wanted: DeviceKind) -> Iterator[Place]:
    """Our place, from the variables that `torchrun` sets; without them, the whole of every batch on the first device.

    Raises ConfigError if the batch cannot be divided evenly, or if there is no such device.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    rank, local = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
    device = _choose_device(wanted, local)
    if batch_samples % count:
        raise ConfigError(
            f"training on {count} processes: batch_samples = {batch_samples} cannot be divided evenly; use a multiple of {count}"
        )
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True  # every batch has the same shapes
        torch.set_float32_matmul_precision("high")
    if count == 1:
        yield Place(Share(), device, True, 1)
        return
    # What the processes tell each other on the host, such as the time, need not wait for the GPUs.
    distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield Place(Share(rank, count), device, local == 0, int(os.environ.get("LOCAL_WORLD_SIZE", count)))
    finally:
        distributed.destroy_process_group()


def _choose_device(wanted: DeviceKind, local: int) -> torch.device:
    has_gpu = torch.cuda.is_available()
    if wanted == "cuda" and not has_gpu:
        raise ConfigError(
            "training with device: cuda: torch finds no usable GPU; install NVIDIA's driver, or set device to cpu"
        )
    return torch.device("cuda", local) if has_gpu and wanted != "cpu" else torch.device("cpu")
