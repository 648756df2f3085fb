"""Opens the configured engines; the only place that knows every backend by name."""

import logging
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
import numpy as np

from handmap.bundle.golden import Golden
from handmap.bundle.manifest import Bundle
from handmap.bundle.tensors import Tensors, fix_batch
from handmap.engines.engine import Engine, Engines, PalmEngine
from handmap.engines.engine_keys import BuilderOptions
from handmap.types.errors import BundleError, ConfigError, NotFinite

LOG: Final = logging.getLogger("handmap.engines")

PrecisionName: TypeAlias = Literal["fp32", "fp16", "int8"]


class EngineConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What runs the networks on this device."""

    backend: Literal["onnx", "tensorrt"] = "onnx"  # onnx: ONNX Runtime on the CPU; tensorrt: the GPU of a board
    precision: PrecisionName = "fp32"  # must be in the bundle
    threads: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1  # threads of an ONNX engine
    # onnx: use ONNX Runtime, at a fraction of the rate, until TensorRT and its engine are available; null: wait for the engine
    fallback: Literal["onnx"] | None = None
    use_ungated_int8: bool = False  # true: accept an int8 graph that was not measured or failed its accuracy gate
    # tensorrt: memory in MB that a layer can use while the engine is built; changing it requires a new engine
    workspace_mb: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 512
    cache_dir: Path | None = None  # TensorRT engine cache; null: that of the service, else of the user


DEFAULT_ENGINE: Final = EngineConfig()


def open_engines(bundle: Bundle, config: EngineConfig = DEFAULT_ENGINE, batch: int = 1) -> Engines:
    """Engines of the bundle for `batch` hands per call; close them, or use them in a `with` statement.

    Raises BundleError if the bundle lacks the precision, ConfigError if that is an int8 graph without a passed gate,
    DependencyError if the backend's library is missing, EngineUnusable if there is no TensorRT engine that can be loaded.
    """
    path = bundle.graph_path("hand", config.precision)
    if config.precision == "int8" and not config.use_ungated_int8:
        refuse_ungated(bundle)
    hand = _open_hand(bundle, path, config, batch)
    try:
        _refuse_other_tensors(bundle, "hand", hand.tensors, batch, config.precision)
        return Engines(hand, *_open_palm(bundle, config, batch))
    except BaseException:
        hand.close()
        raise


def _open_hand(bundle: Bundle, path: Path, config: EngineConfig, batch: int) -> Engine:
    # Each backend's library is loaded only if it is chosen.
    if config.backend == "tensorrt":
        from handmap.engines.gpu_engine import open_gpu_engine

        options = BuilderOptions(config.workspace_mb)
        return open_gpu_engine(bundle, config.precision, batch, options, config.cache_dir)
    from handmap.engines.onnx_engine import open_onnx_engine

    return open_onnx_engine(path, batch, config.threads, config.precision)


def palm_precision(bundle: Bundle, precision: str, use_ungated_int8: bool = False) -> str:
    """The palm graph's precision beside a hand engine of this one: the same, or another that is usable.

    An int8 graph without a passed gate is skipped, not refused: the daemon works with a better one, and is hardly slower.
    """
    assert bundle.palm is not None
    int8 = bundle.palm.precisions.get("int8")
    has_passed = int8 is not None and int8.gate is not None and int8.gate.passed
    usable = set(bundle.palm.precisions) - ({"int8"} if not (has_passed or use_ungated_int8) else set())
    found = next((one for one in (precision, "fp16", "fp32") if one in usable), "fp32")
    if precision == "int8" and int8 is not None and "int8" not in usable:
        reason = "no gate" if int8.gate is None else "failed its gate"
        LOG.warning("palm_graph=%s instead_of=int8 reason=%r", found, reason)
    return found


def _open_palm(bundle: Bundle, config: EngineConfig, batch: int) -> tuple[PalmEngine, float] | tuple[()]:
    """The palm engine on the same backend; empty if the bundle has no palm graph."""
    if bundle.palm is None:
        return ()
    precision = palm_precision(bundle, config.precision, config.use_ungated_int8)
    palm: PalmEngine
    if config.backend == "tensorrt":
        from handmap.engines.gpu_engine import open_gpu_palm_engine, wanted_engine

        options = BuilderOptions(config.workspace_mb)
        of_hand = wanted_engine(bundle, config.precision, batch, options, config.cache_dir)
        palm = open_gpu_palm_engine(bundle, precision, of_hand)
    else:
        from handmap.engines.onnx_engine import open_onnx_palm_engine

        palm = open_onnx_palm_engine(bundle.graph_path("palm", precision), config.threads, precision)
    try:
        _refuse_other_tensors(bundle, "palm", palm.tensors, 1, precision)
    except BaseException:
        palm.close()
        raise
    return palm, bundle.palm.min_score


def _refuse_other_tensors(bundle: Bundle, graph: str, found: Tensors, batch: int, precision: str) -> None:
    """Raises BundleError if an engine's tensors differ from the manifest's, in any order."""
    wanted = fix_batch(bundle.manifest.graphs.named()[graph].tensors, batch)
    if found.inputs != wanted.inputs or set(found.outputs) != set(wanted.outputs):
        raise BundleError(
            f"bundle {str(bundle.path)!r}: the {precision} engine of the {graph} graph has tensors {_shown(found)}, "
            f"its manifest states {_shown(wanted)}; export the bundle again"
        )


def refuse_ungated(bundle: Bundle) -> None:
    """Raises ConfigError unless the bundle's int8 graph has passed its gate; states what the gate found and how to pass it."""
    gate = bundle.hand.precisions["int8"].gate
    if gate is not None and gate.passed:
        return
    found = (
        "has not been through the accuracy gate"
        if gate is None
        else f"failed the accuracy gate (mean {gate.mean_mm:+.2f} mm, p95 {gate.p95_mm:+.2f} mm by {gate.kind} on {gate.dataset})"
    )
    raise ConfigError(
        f"bundle {str(bundle.path)!r}: its int8 graph {found}; pass it with: handmap calibrate report --bundle B --data D --out B, "
        "or set engine.precision to fp32 or fp16, or accept it with engine.use_ungated_int8: true"
    )


def _shown(tensors: Tensors) -> str:
    return ", ".join(f"{t.name} {t.dtype} {t.shape}" for t in (*tensors.inputs, *tensors.outputs))


def golden_distance_mm(engine: Engine, golden: Golden, cube_mm: float) -> float:
    """Largest distance in mm of any joint of the golden samples between this engine and the bundle's record; NaN if any is."""
    worst_mm = []
    for first in range(0, len(golden.depth), engine.batch):
        depth = golden.depth[first : first + engine.batch]
        filled = np.concatenate([depth, np.ones((engine.batch - len(depth), *depth.shape[1:]), np.float32)])
        joints = engine.infer(filled).joints[: len(depth)]
        away_mm = np.linalg.norm(joints - golden.joints[first : first + len(depth)], axis=-1) * (cube_mm / 2)
        worst_mm.append(away_mm.max())
    return float(np.max(worst_mm))  # unlike max(), it does not pass over NaN


TOLERANCE_MM = {"fp32": 0.05, "fp16": 2.0, "int8": 12.0}


def check_golden(engine: Engine, golden: Golden, bundle: Bundle) -> float:
    """The golden distance in mm, refused if it is above the precision's tolerance.

    Raises BundleError if the engine does not compute what the bundle's network does.
    """
    try:
        found_mm = golden_distance_mm(engine, golden, bundle.hand.cube_mm)
    except NotFinite:
        found_mm = float("nan")
    limit_mm = TOLERANCE_MM[engine.precision]
    if not np.isfinite(found_mm):
        raise BundleError(
            f"bundle {str(bundle.path)!r}: the {engine.precision} engine gives joints that are not finite on the golden samples; "
            "export or build it again"
        )
    if not found_mm <= limit_mm:
        raise BundleError(
            f"bundle {str(bundle.path)!r}: the {engine.precision} engine is {found_mm:.3f} mm from the golden samples, "
            f"wanted at most {limit_mm} mm; export or build it again"
        )
    return found_mm
