"""Which names of TensorRT our sources touch, read from their syntax trees, so that no list can go stale.

Chains on the module (`trt.BuilderFlag.TF32`) tell their own name. What is called on an object of TensorRT is told by the
variable's name: each file's table below says which class it holds. A table entry that nothing uses, a result of TensorRT
under a name that no table knows, and a look-up by getattr or hasattr are all refused.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULES = {"trt", "tensorrt", "tensorrt_rtx"}
OBJECTS = {
    "export/to_engine.py": {},
    "export/engine_plan.py": {
        "builder": "Builder", "network": "INetworkDefinition", "parser": "OnnxParser", "config": "IBuilderConfig",
        "profile": "IOptimizationProfile", "problem": "ParserError", "runtime": "Runtime", "engine": "ICudaEngine",
        "inspector": "EngineInspector",
    },
    "export/engine_progress.py": {},
    "handmap/engines/tensorrt_log.py": {},
    "handmap/engines/tensorrt_engine.py": {"runtime": "Runtime", "_plan": "ICudaEngine", "_context": "IExecutionContext"},
}  # fmt: skip
RESULTS = {  # the class of what a method gives
    "create_network": "INetworkDefinition", "create_builder_config": "IBuilderConfig",
    "create_optimization_profile": "IOptimizationProfile", "create_execution_context": "IExecutionContext",
    "create_engine_inspector": "EngineInspector", "get_timing_cache": "ITimingCache", "get_input": "ITensor",
    "get_output": "ITensor", "get_error": "ParserError",
}  # fmt: skip
OWN_METHODS = {"take_lines"}  # of our subclasses, beside those of the base
ONLY_RTX = {  # TensorRT-RTX alone builds without a device
    "ComputeCapability",
    "ComputeCapability.SM86",
    "IBuilderConfig.num_compute_capabilities",
    "IBuilderConfig.set_compute_capability",
}


def touched_names() -> set[str]:
    """Every name in all of our sources, such as `BuilderFlag.TF32` or `IBuilderConfig.set_memory_pool_limit`."""
    return set().union(*(names_in(file, (ROOT / file).read_text()) for file in OBJECTS))


def names_in(file: str, source: str) -> set[str]:
    """The names in one file with this text."""
    objects = OBJECTS[file]
    used: set[str] = set()
    names: set[str] = set()
    for node in ast.walk(ast.parse(source, filename=file)):
        if isinstance(node, ast.Attribute):
            path, holder = _module_path(node), _holder(node.value)
            if path:
                names.add(path)
            elif holder in objects:
                used.add(holder)
                names.add(f"{objects[holder]}.{node.attr}")
            elif isinstance(node.value, ast.Call) and (kind := _result(node.value)):
                names.add(f"{kind}.{node.attr}")
        elif isinstance(node, ast.Assign):
            _refuse_unknown_holder(file, node, objects)
        elif isinstance(node, ast.ClassDef):
            names.update(_overridden(node))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr"):
            assert not _is_module(node.args[0]), f"{file}:{node.lineno}: a look-up of TensorRT by {node.func.id}"
    assert used == set(objects), f"{file}: nothing is called on {sorted(set(objects) - used)} of the table"
    return names


def _module_path(node: ast.expr) -> str:
    """`A.B` for `trt.A.B`, else nothing."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        if _is_module(node.value):
            return ".".join([node.attr, *reversed(parts)])
        parts.append(node.attr)
        node = node.value
    return ""


def _is_module(node: ast.expr) -> bool:
    return (isinstance(node, ast.Name) and node.id in MODULES) or (
        isinstance(node, ast.Attribute) and node.attr == "trt"
    )


def _holder(node: ast.expr) -> str:
    """The name of a variable, or of an attribute of self."""
    if isinstance(node, ast.Name):
        return node.id
    is_own = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    return node.attr if is_own and isinstance(node, ast.Attribute) else ""


def _result(call: ast.Call) -> str:
    """The class of what a call gives, where it is TensorRT's."""
    if isinstance(call.func, ast.Attribute):
        path = _module_path(call.func)
        return path or RESULTS.get(call.func.attr, "")
    return ""


def _refuse_unknown_holder(file: str, node: ast.Assign, objects: dict[str, str]) -> None:
    if not isinstance(node.value, ast.Call):
        return
    kind = _result(node.value)
    for target in node.targets if kind else ():
        found = objects.get(_holder(target))
        assert found == kind, f"{file}:{node.lineno}: {ast.unparse(target)} holds a {kind}, the table says {found}"


def _overridden(node: ast.ClassDef) -> Iterator[str]:
    """The public methods of a subclass of a class of TensorRT: the library calls them by these names."""
    for base in node.bases:
        if kind := _module_path(base):
            methods = [item.name for item in node.body if isinstance(item, ast.FunctionDef)]
            yield from (f"{kind}.{name}" for name in methods if not name.startswith("_") and name not in OWN_METHODS)
