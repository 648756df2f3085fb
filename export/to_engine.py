"""From a bundle to its TensorRT engines, of the hand and the palm graph, in this device's cache: built, checked, then stored.

Runs on a board: needs only tensorrt, numpy and msgspec. The only module of `export` that imports tensorrt or TensorRT-RTX.
"""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

from handmap.bundle.manifest import Bundle, read_bundle
from handmap.bundle.tensors import fix_batch
from handmap.engines.cache import SIDECAR_FILE, Sidecar, StoredEngine, WantedEngine, find_engine, palm_beside
from handmap.engines.cuda_driver import DeviceFacts, read_device_facts
from handmap.engines.engine_keys import describe_platform, engine_key, tensorrt_build
from handmap.engines.factory import palm_precision, refuse_ungated
from handmap.files.atomic import all_names, new_folder, write_into
from handmap.files.reading import MAX_MODEL_BYTES, encode_json, read_bytes
from handmap.system.jetpack import read_l4t_release
from handmap.system.notify import Notifier, open_notifier
from handmap.system.progress import track_progress
from handmap.types.errors import BuildError, DependencyError, EngineUnusable

from .engine_plan import Backend, EnginePlan, GraphSource, build_plan, describe_layers
from .engine_progress import PERCENT, open_monitor, waiting_for_another
from .engine_replay import Replay, replay_golden, replay_palm
from .engine_request import BuildRequest
from .engine_store import check_room, locked, read_timing, sweep_half_written, sweep_old, timing_file, write_timing

LAYERS_FILE: Final = "layers.json"
OLDEST: Final = (10, 3)
NO_DEVICE: Final = DeviceFacts("none", 0, (8, 6))  # the target if there is no device


@dataclass(frozen=True)
class BuildResult:
    """The engines in the cache, and whether one had to be built."""

    engine: StoredEngine
    was_built: bool
    palm: StoredEngine | None = None


@dataclass(frozen=True)
class _Job:
    """A request and the bundle that was read for it: the input of every build step."""

    request: BuildRequest
    bundle: Bundle
    wanted: WantedEngine
    backend: Backend
    source: GraphSource
    replay: Replay


def open_backend(name: str) -> Backend:
    """`tensorrt` with the device of this machine, or `rtx` (TensorRT-RTX), which also builds without a device.

    Raises DependencyError if the library is missing or too old, or `tensorrt` finds no device.
    """
    if name == "rtx":
        return _open_rtx()
    try:
        import tensorrt as trt
    except ImportError as error:
        raise DependencyError(
            f"build-engine: TensorRT cannot be imported ({error}); on a Jetson: sudo apt install python3-libnvinfer, "
            "and make the environment with: python3 -m venv --system-site-packages"
        ) from error
    if version_of(trt) < OLDEST:
        raise DependencyError(
            f"build-engine: found TensorRT {trt.__version__}, wanted 10.3 or newer; flash JetPack 6.1 or newer"
        )
    return Backend(trt, tensorrt_build(trt), read_device_facts(), has_timing_cache=True)


def version_of(trt: ModuleType) -> tuple[int, int]:
    """Major and minor version of a TensorRT module."""
    major, minor = str(trt.__version__).split(".")[:2]
    return int(major), int(minor)


def is_needed(request: BuildRequest, backend: Backend) -> tuple[bool, str]:
    """Whether `build_engine` would build, and the reason in one sentence."""
    for wanted in _want(request, read_bundle(request.bundle), backend):
        try:
            stored = find_engine(wanted)
        except EngineUnusable as error:
            return True, str(error)
    return False, f"engine {str(stored.path)!r} is complete and was built for this device"


def build_engine(
    request: BuildRequest, backend: Backend, notifier: Notifier | None = None, replay: Replay = replay_golden
) -> BuildResult:
    """Builds those engines of a bundle that are not in the cache yet, and stores each once it has been verified.

    Raises ConfigError for an int8 graph without a passed gate, ModelError or BuildError if TensorRT fails, BundleError
    if an engine does not compute what its graph does.
    """
    notifier = notifier or open_notifier()
    bundle = read_bundle(request.bundle)
    wanted = _want(request, bundle, backend)
    if request.precision == "int8" and not request.use_ungated_int8:
        refuse_ungated(bundle)
    with locked(request.cache_dir, waiting_for_another(notifier)):
        built = [_ensure(request, bundle, backend, one, notifier, replay) for one in wanted]
        engines = [find_engine(one) for one in wanted]
        return BuildResult(engines[0], any(built), engines[1] if len(engines) > 1 else None)


def _ensure(
    request: BuildRequest, bundle: Bundle, backend: Backend, wanted: WantedEngine, notifier: Notifier, replay: Replay
) -> bool:
    """Builds an engine unless it is in the cache; whether it did. The caller holds the lock."""
    try:
        find_engine(wanted)
        return False
    except EngineUnusable:
        sweep_half_written(request.cache_dir)
    graph = bundle.graph_path(wanted.graph, wanted.precision)
    tensors = fix_batch(bundle.manifest.graphs.named()[wanted.graph].tensors, wanted.key.batch)
    source = GraphSource(f"graph {str(graph)!r}", read_bytes(graph, MAX_MODEL_BYTES), tensors)
    check_room(request.cache_dir, len(source.onnx), request.options.workspace_mb)
    check = replay if wanted.graph == "hand" else replay_palm
    _build(_Job(request, bundle, wanted, backend, source, check), notifier)
    sweep_old(request.cache_dir, str(wanted.bundle))
    return True


def _build(job: _Job, notifier: Notifier) -> None:
    timing = read_timing(timing_file(job.request.cache_dir, job.wanted.key.platform))
    started_s = time.monotonic()
    with track_progress(f"{job.wanted.precision} {job.wanted.graph} engine", PERCENT, "percent") as advance:
        monitor = open_monitor(job.backend.trt, advance, notifier)
        try:
            plan = build_plan(job.backend, job.source, job.request.options, timing, monitor)
        finally:
            if monitor.failure is not None:
                raise monitor.failure  # also Ctrl-C
        build_s = time.monotonic() - started_s
        golden_note = _store(job, plan, build_s)
        advance(PERCENT, golden_note)


def _store(job: _Job, plan: EnginePlan, build_s: float) -> str:
    """Checks the engine on the golden samples and stores it in the cache; returns how it was checked."""
    try:
        if plan.timing:
            write_timing(timing_file(job.wanted.cache_dir, job.wanted.key.platform), plan.timing)
        with new_folder(job.wanted.folder, all_names) as folder:
            write_into(folder, {job.wanted.file: plan.engine})
            golden_mm, golden_note = job.replay(job.request, job.bundle, job.backend, folder / job.wanted.file)
            layers_note = _write_layers(job, plan, folder / LAYERS_FILE)
            sidecar = _describe(job, plan, build_s, golden_mm, (golden_note, layers_note))
            write_into(folder, {SIDECAR_FILE: encode_json(sidecar)})
    except OSError as error:
        raise BuildError(
            f"engine cache {str(job.wanted.cache_dir)!r}: an engine of {len(plan.engine)} bytes cannot be stored "
            f"({error.strerror or error}); free some space, or name another cache with --cache-dir"
        ) from error
    return golden_note


def _write_layers(job: _Job, plan: EnginePlan, path: Path) -> str:
    """The name of the file with the engine's layers, or why there is none."""
    if job.backend.device is None:
        return "not read: built without a device"
    write_into(path.parent, {path.name: describe_layers(job.backend, plan.engine, job.source.name).encode()})
    return path.name


def _describe(job: _Job, plan: EnginePlan, build_s: float, golden_mm: float | None, notes: tuple[str, str]) -> Sidecar:
    return Sidecar(
        format=2,
        key=job.wanted.key,
        bundle=str(job.wanted.bundle),
        bundle_id=job.bundle.id.hex(),
        precision=job.wanted.precision,
        engine_sha256=hashlib.sha256(plan.engine).hexdigest(),
        engine_bytes=len(plan.engine),
        tensors=job.source.tensors,
        golden_mm=golden_mm,
        golden_note=notes[0],
        layers_note=notes[1],
        build_s=round(build_s, 3),
        warnings=plan.warnings,
        graph=job.wanted.graph,
    )


def _want(request: BuildRequest, bundle: Bundle, backend: Backend) -> list[WantedEngine]:
    """The engines that a request is for: of the hand graph, then of the palm graph if the bundle has one."""
    platform = describe_platform(backend.build, backend.device or NO_DEVICE, read_l4t_release())
    key = engine_key(bundle, request.precision, request.batch, platform, request.options)
    hand = WantedEngine(request.cache_dir, request.bundle.resolve(), request.precision, key)
    if bundle.palm is None:
        return [hand]
    return [hand, palm_beside(hand, bundle, palm_precision(bundle, request.precision, request.use_ungated_int8))]


def _open_rtx() -> Backend:
    try:
        import tensorrt_rtx as trt
    except ImportError as error:
        raise DependencyError(
            f"build-engine: TensorRT-RTX cannot be imported ({error}); install it with: pip install tensorrt_rtx"
        ) from error
    try:
        device = read_device_facts()
    except DependencyError:
        device = None  # it builds, but the engine cannot be checked; the sidecar records that
    return Backend(trt, tensorrt_build(trt), device, has_timing_cache=False)
