"""Opens the engines that a configuration asks for; the one place that knows every backend by name."""

from typing import Annotated, Literal

import msgspec
import numpy as np

from handmap.bundle import Bundle
from handmap.engine import Engine, Engines
from handmap.errors import BundleError, ConfigError
from handmap.golden import Golden
from handmap.tensors import Tensors, fix_batch


class EngineConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What runs the network on this device."""

    backend: Literal["onnx"] = "onnx"
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    threads: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    use_ungated_int8: bool = False  # accepts an int8 graph whose accuracy nobody has measured, or that failed


def open_engines(bundle: Bundle, config: EngineConfig, batch: int) -> Engines:
    """Engines of the bundle for `batch` hands a call.

    Raises BundleError if the bundle lacks the precision, ConfigError if that is an int8 graph without a passed gate,
    DependencyError if the backend's library is missing.
    """
    path = bundle.graph_path("hand", config.precision)
    if config.precision == "int8" and not config.use_ungated_int8:
        refuse_ungated(bundle)
    from handmap.engine_onnx import open_onnx_engine  # ONNX Runtime is loaded only where it is chosen

    engine = open_onnx_engine(path, batch, config.threads, config.precision)
    wanted = fix_batch(bundle.hand.tensors, batch)
    if engine.tensors != wanted:
        engine.close()
        raise BundleError(
            f"bundle {str(bundle.path)!r}: the {config.precision} engine has tensors {_shown(engine.tensors)}, "
            f"its manifest states {_shown(wanted)}; export the bundle again"
        )
    return Engines(hand=engine)


def refuse_ungated(bundle: Bundle) -> None:
    """Raises ConfigError unless the bundle's int8 graph has passed its gate; says what the gate found and how to pass it."""
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
    """Largest distance in mm of any joint of the golden samples between this engine and the bundle's record."""
    worst = 0.0
    for first in range(0, len(golden.depth), engine.batch):
        depth = golden.depth[first : first + engine.batch]
        filled = np.concatenate([depth, np.ones((engine.batch - len(depth), *depth.shape[1:]), np.float32)])
        joints = engine.infer(filled).joints[: len(depth)]
        away_mm = np.linalg.norm(joints - golden.joints[first : first + len(depth)], axis=-1) * (cube_mm / 2)
        worst = max(worst, float(away_mm.max()))
    return worst


TOLERANCE_MM = {"fp32": 0.05, "fp16": 2.0, "int8": 12.0}


def check_golden(engine: Engine, golden: Golden, bundle: Bundle) -> float:
    """The golden distance in mm, refused where it is above the precision's tolerance.

    Raises BundleError: the engine does not compute what the bundle's network does.
    """
    found_mm = golden_distance_mm(engine, golden, bundle.hand.cube_mm)
    limit_mm = TOLERANCE_MM[engine.precision]
    if not found_mm <= limit_mm:
        raise BundleError(
            f"bundle {str(bundle.path)!r}: the {engine.precision} engine is {found_mm:.3f} mm off the golden samples, "
            f"wanted at most {limit_mm} mm; export or build it again"
        )
    return found_mm
