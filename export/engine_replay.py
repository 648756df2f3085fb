"""Checks a new engine on the device: the hand's on the golden samples, the palm's on pictures made from them."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from handmap.bundle.golden import read_golden
from handmap.bundle.manifest import Bundle
from handmap.engines.factory import check_golden, palm_precision
from handmap.engines.palm_check import check_palm

from .engine_plan import Backend
from .engine_request import BuildRequest

# Returns the error of the engine in a file on the golden samples, in mm, and how it was checked, or why it was not.
Replay: TypeAlias = Callable[[BuildRequest, Bundle, Backend, Path], tuple[float | None, str]]


def replay_golden(
    request: BuildRequest, bundle: Bundle, backend: Backend, engine_file: Path
) -> tuple[float | None, str]:
    """A `Replay` on the device, with the engine class that the daemon uses.

    Raises BundleError if the error exceeds the precision's tolerance.
    """
    if backend.device is None:
        return None, "not checked: built without a device"
    from handmap.engines.tensorrt_engine import open_tensorrt_engine  # loads CuPy, which needs a device

    golden = read_golden(bundle)
    engine = open_tensorrt_engine(engine_file, request.batch, request.precision, backend.trt)
    try:
        return check_golden(engine, golden, bundle), f"{len(golden.depth)} samples"
    finally:
        engine.close()


def replay_palm(request: BuildRequest, bundle: Bundle, backend: Backend, engine_file: Path) -> tuple[float | None, str]:
    """A `Replay` of the palm engine, which has no joints to be off: the note says how far its outputs are.

    Raises BundleError if they differ too much from those of the FP32 graph.
    """
    if backend.device is None:
        return None, "not checked: built without a device"
    from handmap.engines.gpu_engine import GpuPalmEngine
    from handmap.engines.tensorrt_engine import open_tensorrt_engine

    golden = read_golden(bundle)
    precision = palm_precision(bundle, request.precision, request.use_ungated_int8)
    engine = GpuPalmEngine(open_tensorrt_engine(engine_file, 1, precision, backend.trt, "palm"))
    try:
        return None, f"{len(golden.depth)} pictures, outputs at most {check_palm(engine, golden, bundle):.4f} off"
    finally:
        engine.close()
