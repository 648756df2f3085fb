"""Every TensorRT name that the code uses exists in every version that boards have, according to NVIDIA's own bindings."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.tensorrt_bindings import PACKAGES, ROOT, check_bindings, run_check
from tests.support.tensorrt_names import OBJECTS, ONLY_RTX, names_in, touched_names

# One of each kind: an attribute chain, a method, an attribute that is set, one of a return value, an overridden method.
KNOWN = {
    "BuilderFlag.TF32", "OnnxParser.parse", "IBuilderConfig.profiling_verbosity", "ITimingCache.serialize",
    "IProgressMonitor.step_complete", "IExecutionContext.execute_async_v3", "TensorIOMode.INPUT",
}  # fmt: skip
GONE_IN_11 = {"BuilderFlag.FP16", "NetworkDefinitionCreationFlag.EXPLICIT_BATCH"}
NOWHERE = {"IBuilderConfig.max_workspace_size", "ICudaEngine.num_bindings"}


@pytest.fixture(scope="module", params=PACKAGES)
def checked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of checking our names, and a few planted ones, against each version."""
    names = (touched_names() - ONLY_RTX) | GONE_IN_11 | NOWHERE
    result = check_bindings(request.param, names, tmp_path_factory.mktemp("libraries"))
    assert result["version"] == request.param
    return result


def test_every_name_exists_in_every_version(checked: dict[str, Any]) -> None:
    assert set(checked["missing"]) - GONE_IN_11 - NOWHERE == set()


def test_a_missing_name_is_reported(checked: dict[str, Any]) -> None:
    gone = GONE_IN_11 if checked["version"].startswith("11.") else set()

    assert set(checked["missing"]) & (GONE_IN_11 | NOWHERE) == gone | NOWHERE


def test_a_missing_device_is_reported_in_one_sentence(checked: dict[str, Any]) -> None:
    warnings = checked["said"]

    assert warnings["log_lines"] and warnings["one_log"] and warnings["monitor"] and warnings["is_supported"]
    assert warnings["strongly_typed"] > 0
    assert warnings["builder"].startswith("graph 'x': TensorRT could not create a Builder (pybind11")
    assert warnings["runtime"].startswith("graph 'x': TensorRT could not create a Runtime (pybind11")


def test_every_name_exists_in_tensorrt_rtx() -> None:
    pytest.importorskip("tensorrt_rtx", reason="needs NVIDIA's tensorrt_rtx wheel, of the extra vendor on x86-64")
    ours = set().union(*(names_in(file, (ROOT / file).read_text()) for file in OBJECTS if file.startswith("export")))

    result = run_check(Path(sys.executable), "tensorrt_rtx", ours | ONLY_RTX | NOWHERE, {})

    assert set(result["missing"]) == NOWHERE


def test_names_are_collected_from_the_sources() -> None:
    names = touched_names()

    assert names >= KNOWN | ONLY_RTX


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("config.set_memory_pool_limit", "config.max_workspace_size", "IBuilderConfig.max_workspace_size"),
        ("trt.BuilderFlag.TF32", "trt.BuilderFlag.FP16", "BuilderFlag.FP16"),
        ("config.get_timing_cache().serialize", "config.get_timing_cache().dump", "ITimingCache.dump"),
    ],
)
def test_a_name_planted_in_the_source_is_collected(old: str, new: str, found: str) -> None:
    source = (ROOT / "export/engine_plan.py").read_text()

    planted = names_in("export/engine_plan.py", source.replace(old, new))

    assert found in planted - names_in("export/engine_plan.py", source)


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [
        ("    inspector = ", "    looker = ", "looker holds a EngineInspector"),
        ("runtime.deserialize_cuda_engine", "made.deserialize_cuda_engine", "nothing is called on"),
        ("trt.LayerInformationFormat.JSON", "getattr(trt, 'JSON')", "look-up of TensorRT by getattr"),
    ],
)
def test_code_that_would_evade_collection_is_rejected(old: str, new: str, refused: str) -> None:
    source = (ROOT / "export/engine_plan.py").read_text()
    assert old in source

    with pytest.raises(AssertionError, match=refused):
        names_in("export/engine_plan.py", source.replace(old, new))
