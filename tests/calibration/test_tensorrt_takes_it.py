"""NVIDIA's own parser and builder accept every quantized graph; if not, the error contains TensorRT's log.

The hand graphs of the shipped bundle are built by tests/export/test_to_engine.py.
"""

from pathlib import Path

import pytest

from calibration.quantize import Recipe, quantize_bundle
from export.engine_plan import GraphSource, build_plan
from export.to_engine import open_backend
from handmap.bundle.manifest import Bundle, read_bundle
from handmap.bundle.tensors import fix_batch
from handmap.engines.engine_keys import BuilderOptions

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "handmap-hand21"
pytest.importorskip("tensorrt_rtx", reason="needs NVIDIA's tensorrt_rtx wheel, of the extra vendor on x86-64")


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def small_bundle(
    request: pytest.FixtureRequest, bundle_path: Path, set_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """INT8 on either body, one layer in float."""
    path = tmp_path_factory.mktemp("rtx") / "bundle"
    quantize_bundle(bundle_path, set_path, Recipe("mse", request.param, frozenset({"first.0"})), None, path)
    return path


def engine_of(bundle: Bundle, graph: str, precision: str, batch: int) -> bytes:
    """Builds a graph with NVIDIA's builder."""
    tensors = fix_batch(bundle.manifest.graphs.named()[graph].tensors, batch)
    source = GraphSource(f"{graph} {precision}", bundle.graph_path(graph, precision).read_bytes(), tensors)
    return build_plan(open_backend("rtx"), source, BuilderOptions(), b"", None).engine


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_small_network_is_built(small_bundle: Path, precision: str) -> None:
    assert engine_of(read_bundle(small_bundle), "hand", precision, 2)


def test_an_int8_palm_graph_is_built(palm_bundle_path: Path, set_path: Path, tmp_path: Path) -> None:
    quantize_bundle(palm_bundle_path, set_path, Recipe("mse", "fp16", frozenset()), None, tmp_path / "both")

    assert engine_of(read_bundle(tmp_path / "both"), "palm", "int8", 1)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_shipped_palm_graph_is_built(precision: str) -> None:
    assert engine_of(read_bundle(SHIPPED), "palm", precision, 1)
