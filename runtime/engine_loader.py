"""Opens the engines that the daemon runs on: those configured; while their TensorRT engine is not built, the fall-back's or none."""

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from handmap.bundle.golden import read_golden
from handmap.bundle.manifest import Bundle
from handmap.engines.cache import engine_cache_dir
from handmap.engines.engine import Engines
from handmap.engines.factory import EngineConfig, check_golden, open_engines
from handmap.types.errors import DependencyError, EngineFailed, EngineUnusable

LOG = logging.getLogger("handmap.daemon")

LOOK_EVERY_S: Final = 2.0


class EngineNotReady(EngineFailed):
    """The TensorRT engine is not built, or not for this device: somebody builds it, and then it is there."""


@dataclass(frozen=True)
class OpenedEngines:
    """Proven engines; `fallback_reason` says why they are not those configured, and is empty where they are."""

    engines: Engines
    fallback_reason: str = ""


def open_or_await(bundle: Bundle, config: EngineConfig, batch: int, may_await: bool = True) -> OpenedEngines:
    """The configured engines, or those of `config.fallback` where TensorRT or its engine is not there.

    Raises EngineNotReady where the configuration names no fall-back and building the engine would mend it; EngineUnusable
    in its place unless may_await.
    """
    try:
        return OpenedEngines(_open_checked(bundle, config, batch))
    except (EngineUnusable, DependencyError) as error:
        if config.fallback is None:
            if isinstance(error, EngineUnusable) and may_await:
                raise EngineNotReady(f"{error}; it is used as soon as it is there") from error
            raise
        LOG.warning("fallback=%s reason=%r", config.fallback, str(error))
        instead = msgspec.structs.replace(config, backend=config.fallback, fallback=None)
        fallback_reason = f"on {config.fallback} in place of {config.backend}: {error}"
        return OpenedEngines(_open_checked(bundle, instead, batch), fallback_reason)


class CacheWatch:
    """Notices engines that come to a cache, by their folders."""

    def __init__(self, config: EngineConfig) -> None:
        self._folder = config.cache_dir or engine_cache_dir()
        self._seen = _entries(self._folder)
        self._looked_s = time.monotonic()

    def has_changed(self) -> bool:
        """Whether the cache holds others than when this was made; looks every two seconds."""
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_EVERY_S:
            return False
        self._looked_s = now_s
        return _entries(self._folder) != self._seen


def _entries(folder: Path) -> frozenset[tuple[str, int]]:
    """Names and inodes: an engine that is built anew under its key is another folder."""
    try:
        return frozenset(
            (entry.name, entry.inode()) for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != "."
        )
    except OSError:
        return frozenset()


def _open_checked(bundle: Bundle, config: EngineConfig, batch: int) -> Engines:
    engines = open_engines(bundle, config, batch)
    try:
        distance_mm = check_golden(engines.hand, read_golden(bundle), bundle)
    except BaseException:
        engines.close()
        raise
    LOG.info("engine=%s precision=%s golden_mm=%.4f", config.backend, config.precision, distance_mm)
    return engines
