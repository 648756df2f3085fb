"""The PyTorch HandMap as a library: networks with guidance stages, samples, training loop, and the program that `handmap export` reads.

What `__all__` names is public: it stays, or is refused by name for a release before it goes. Everything else may change. Names are
imported when they are first used, so that the commands of this part start without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .network.guidance import HandCells, make_maps, reduce_to_cells
    from .network.heads import Estimate, Head, Votes
    from .network.layouts import Layout
    from .network.network import GUIDANCE_CHANNELS, GuidanceStage, HandMap, NetworkConfig
    from .samples.augment import AugmentConfig
    from .samples.sample_cache import CacheConfig
    from .trainer.optimize import Losses, Trainee
    from .trainer.own_loop import open_batches, save_network
    from .trainer.pool_stream import DeviceBatch
    from .trainer.sources import SourceConfig
    from .trainer.train import train
    from .trainer.train_config import TrainConfig

__all__ = [
    "train", "TrainConfig", "SourceConfig", "CacheConfig", "AugmentConfig",
    "HandMap", "NetworkConfig", "Layout", "Head", "Estimate", "Votes", "GuidanceStage", "GUIDANCE_CHANNELS",
    "make_maps", "reduce_to_cells", "HandCells",
    "open_batches", "DeviceBatch", "Trainee", "Losses", "save_network",
]  # fmt: skip

_MODULES = {
    "network.guidance": ("HandCells", "make_maps", "reduce_to_cells"),
    "network.heads": ("Estimate", "Head", "Votes"),
    "network.layouts": ("Layout",),
    "network.network": ("GUIDANCE_CHANNELS", "GuidanceStage", "HandMap", "NetworkConfig"),
    "samples.augment": ("AugmentConfig",),
    "samples.sample_cache": ("CacheConfig",),
    "trainer.optimize": ("Losses", "Trainee"),
    "trainer.own_loop": ("open_batches", "save_network"),
    "trainer.pool_stream": ("DeviceBatch",),
    "trainer.sources": ("SourceConfig",),
    "trainer.train": ("train",),
    "trainer.train_config": ("TrainConfig",),
}
_HOMES = {name: f".{module}" for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)
