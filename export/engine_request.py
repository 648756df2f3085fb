"""Which engines to build: a request, also as the daemon's configuration makes it."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from handmap.engines.cache_dir import engine_cache_dir
from handmap.engines.engine_keys import BuilderOptions
from handmap.engines.factory import EngineConfig
from handmap.system.config import decode_config
from handmap.system.drop_ins import read_layers
from handmap.tracking.tracker_settings import TrackingConfig


@dataclass(frozen=True)
class BuildRequest:
    """Which engine to build, and where to keep it."""

    bundle: Path
    precision: str
    batch: int
    cache_dir: Path
    options: BuilderOptions = field(default_factory=BuilderOptions)
    use_ungated_int8: bool = False


class _DaemonConfig(msgspec.Struct, frozen=True):
    """The part of the daemon's configuration that determines the engine; the daemon checks the rest."""

    bundle: Path
    engine: EngineConfig = EngineConfig()
    tracking: TrackingConfig = TrackingConfig()


def configured_request(config: Path) -> BuildRequest | None:
    """The engine that the daemon opens with this configuration; None if it opens no TensorRT engine.

    Raises ConfigError if the file or a drop-in cannot be read, or if one of these sections is invalid.
    """
    found = decode_config(read_layers(config), _DaemonConfig)
    if found.engine.backend != "tensorrt":
        return None
    return BuildRequest(
        bundle=found.bundle,
        precision=found.engine.precision,
        batch=found.tracking.max_hands,  # the batch size that the daemon opens its engines with
        cache_dir=found.engine.cache_dir or engine_cache_dir(),
        options=BuilderOptions(found.engine.workspace_mb),
        use_ungated_int8=found.engine.use_ungated_int8,
    )
