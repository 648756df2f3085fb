"""Opens the configured engines; until their TensorRT engine is built, those of the fallback, or none."""

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from handmap.bundle.golden import read_golden
from handmap.bundle.manifest import Bundle
from handmap.engines.cache_dir import engine_cache_dir
from handmap.engines.engine import Engines
from handmap.engines.factory import EngineConfig, check_golden, open_engines
from handmap.engines.palm_check import check_palm
from handmap.types.errors import DependencyError, EngineFailed, EngineUnusable

LOG = logging.getLogger("handmap.daemon")

LOOK_EVERY_S: Final = 2.0


class EngineNotReady(EngineFailed):
    """The TensorRT engine has not been built for this device yet; the daemon uses it once it is there."""


@dataclass(frozen=True)
class OpenedEngines:
    """Engines that passed the golden samples; `fallback_reason` is why they are not the configured ones, else empty."""

    engines: Engines
    backend: str
    fallback_reason: str = ""


def open_or_await(bundle: Bundle, config: EngineConfig, batch: int, may_await: bool = True) -> OpenedEngines:
    """The configured engines, or those of `config.fallback` if TensorRT or its engine is missing.

    Raises EngineNotReady if no fallback is configured and building the engine would help; without may_await,
    EngineUnusable instead.
    """
    try:
        return OpenedEngines(_open_checked(bundle, config, batch), config.backend)
    except (EngineUnusable, DependencyError) as error:
        if config.fallback is None:
            if isinstance(error, EngineUnusable) and may_await:
                raise EngineNotReady(f"{error}; the daemon will use it once it is built") from error
            raise
        LOG.warning("fallback=%s reason=%r", config.fallback, str(error))
        instead = msgspec.structs.replace(config, backend=config.fallback, fallback=None)
        fallback_reason = f"running on {config.fallback} instead of {config.backend}: {error}"
        return OpenedEngines(_open_checked(bundle, instead, batch), instead.backend, fallback_reason)


class CacheWatch:
    """Notices new engines in a cache, by their folders."""

    def __init__(self, config: EngineConfig) -> None:
        self._folder = config.cache_dir or engine_cache_dir()
        self._seen = _entries(self._folder)
        self._looked_s = time.monotonic()

    def has_changed(self) -> bool:
        """Whether the cache has changed since this was created; checks every two seconds."""
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_EVERY_S:
            return False
        self._looked_s = now_s
        return _entries(self._folder) != self._seen


def _entries(folder: Path) -> frozenset[tuple[str, int]]:
    """Names and inodes: an engine rebuilt under the same key is a new folder."""
    try:
        return frozenset(
            (entry.name, entry.inode()) for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != "."
        )
    except OSError:
        return frozenset()


def _open_checked(bundle: Bundle, config: EngineConfig, batch: int) -> Engines:
    engines = open_engines(bundle, config, batch)
    try:
        golden = read_golden(bundle)
        distance_mm = check_golden(engines.hand, golden, bundle)
        if engines.palm is not None:
            check_palm(engines.palm, golden, bundle)
    except BaseException:
        engines.close()
        raise
    LOG.info("engine=%s precision=%s golden_mm=%.4f", config.backend, config.precision, distance_mm)
    return engines
