"""NVIDIA's own parser and builder accept every graph that quantising makes; what TensorRT logged is in the message where not.

The shipped bundle is built by tests/export/test_to_engine.py.
"""

from pathlib import Path

import pytest

from calibration.quantise import Recipe, quantise_bundle
from export.engine_plan import Source, build_plan
from export.to_engine import open_backend
from handmap.bundle import read_bundle
from handmap.engine_cache import BuilderOptions
from handmap.tensors import fix_batch

pytest.importorskip("tensorrt_rtx", reason="needs NVIDIA's tensorrt_rtx wheel, of the extra develop on x86-64")


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def small_bundle(
    request: pytest.FixtureRequest, bundle_path: Path, set_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """INT8 on either body, one layer in float."""
    path = tmp_path_factory.mktemp("rtx") / "bundle"
    quantise_bundle(bundle_path, set_path, Recipe("mse", request.param, frozenset({"first.0"})), None, path)
    return path


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_small_network_is_built(small_bundle: Path, precision: str) -> None:
    bundle = read_bundle(small_bundle)
    content = bundle.graph_path("hand", precision).read_bytes()

    plan = build_plan(
        open_backend("rtx"), Source(precision, content, fix_batch(bundle.hand.tensors, 2)), BuilderOptions(), b"", None
    )

    assert plan.engine


def test_an_int8_palm_graph_is_built(palm_bundle_path: Path, set_path: Path, tmp_path: Path) -> None:
    quantise_bundle(palm_bundle_path, set_path, Recipe("mse", "fp16", frozenset()), None, tmp_path / "both")
    bundle = read_bundle(tmp_path / "both")
    assert bundle.palm is not None
    content = bundle.graph_path("palm", "int8").read_bytes()

    plan = build_plan(
        open_backend("rtx"), Source("palm", content, fix_batch(bundle.palm.tensors, 1)), BuilderOptions(), b"", None
    )

    assert plan.engine
