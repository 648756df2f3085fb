"""`python -m tests.support.check_bindings MODULE < names.json`: which names a TensorRT module lacks, and what our code says over it.

Run in a process of its own for each version: a process can hold only one. Prints one JSON object.
"""

import importlib
import json
import sys
from collections.abc import Callable
from functools import reduce
from types import ModuleType
from typing import Any

from export.engine_plan import Backend, GraphSource, build_plan, describe_layers
from export.engine_progress import open_monitor
from export.to_engine import OLDEST, version_of
from handmap.bundle.tensors import Tensor, Tensors
from handmap.engines.cuda_driver import DeviceFacts
from handmap.engines.engine_keys import BuilderOptions
from handmap.engines.tensorrt_log import KEPT_SEVERITIES, tensorrt_log
from handmap.system.notify import Notifier
from handmap.types.errors import HandmapError

SOURCE = GraphSource("graph 'x'", b"", Tensors((Tensor("depth", "float32", (1, 1, 128, 128)),), ()))


def main(module_name: str) -> None:
    """Prints `missing` names and `said`, what the real code did."""
    trt = importlib.import_module(module_name)
    missing = [name for name in json.load(sys.stdin) if not has_name(trt, name)]
    json.dump({"version": trt.__version__, "missing": missing, "said": run_code(trt)}, sys.stdout)


def has_name(trt: ModuleType, name: str) -> bool:
    """Whether a dotted name can be looked up in the module."""
    try:
        reduce(getattr, name.split("."), trt)
    except AttributeError:
        return False
    return True


def run_code(trt: ModuleType) -> dict[str, Any]:
    """The real code as far as it gets where the library gives neither builder nor runtime."""
    log = tensorrt_log(trt)
    for severity in ("INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"):
        log.log(getattr(trt.ILogger.Severity, severity), "line\n")  # type: ignore[attr-defined]  # TensorRT's side of it
    shown: list[tuple[int, str]] = []
    monitor = open_monitor(trt, lambda done, note: shown.append((done, note)), Notifier(None))
    monitor.phase_start("Building", None, 4)
    goes_on = monitor.step_complete("Building", 1)
    backend = Backend(trt, f"tensorrt {trt.__version__}", DeviceFacts("Orin", 8, (8, 7)), True)
    return {
        "log_lines": log.take_lines() == [f"{severity}: line" for severity in KEPT_SEVERITIES],
        "one_log": log is tensorrt_log(trt) and isinstance(log, trt.ILogger),
        "monitor": isinstance(monitor, trt.IProgressMonitor) and goes_on and shown == [(50, "Building")],
        "is_supported": version_of(trt) >= OLDEST,
        "strongly_typed": 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED),
        "builder": sentence(lambda: build_plan(backend, SOURCE, BuilderOptions(), b"", monitor)),
        "runtime": sentence(lambda: describe_layers(backend, b"", SOURCE.name)),
    }


def sentence(act: Callable[[], object]) -> str:
    """The sentence with which the code refuses."""
    try:
        act()
    except HandmapError as error:
        return str(error)
    return "nothing was refused"


if __name__ == "__main__":
    main(sys.argv[1])
