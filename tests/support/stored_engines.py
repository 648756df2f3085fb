"""Engines in a cache without TensorRT: junk bytes with a true sidecar, for whoever reads or sweeps the cache."""

import hashlib
import os
from pathlib import Path

import msgspec

from handmap.bundle.tensors import Tensors
from handmap.engines.cache import SIDECAR_FILE, Sidecar, WantedEngine
from handmap.engines.engine_keys import BuilderOptions, EngineKey, Platform

ORIN = Platform("tensorrt 10.3.0", "Orin", 8, "8.7", "36.4.3")
KEY = EngineKey("a" * 64, 1, BuilderOptions(), ORIN)
CONTENT = bytes(range(256)) * 16


def wanted_in(cache_dir: Path, key: EngineKey = KEY, bundle: str = "/opt/handmap/bundle") -> WantedEngine:
    """What a service on the board asks for."""
    return WantedEngine(cache_dir, Path(bundle), "fp16", key)


def store(wanted: WantedEngine, age_s: int = 0) -> Path:
    """Puts an engine where it is wanted, that old by its file times; gives its folder."""
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    sidecar = Sidecar(
        2, wanted.key, str(wanted.bundle), "0123456789abcdef", wanted.precision, sha256, len(CONTENT), Tensors((), ()),
        0.4, "8 samples", "layers.json", 80.0, (), wanted.graph,
    )  # fmt: skip
    wanted.folder.mkdir(parents=True)
    (wanted.folder / wanted.file).write_bytes(CONTENT)
    path = wanted.folder / SIDECAR_FILE
    path.write_bytes(msgspec.json.encode(sidecar))
    time_ns = path.stat().st_mtime_ns - age_s * 1_000_000_000
    os.utime(path, ns=(time_ns, time_ns))
    return wanted.folder
