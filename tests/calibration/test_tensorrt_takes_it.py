"""NVIDIA's own parser and builder accept every graph of a bundle; the lines they logged are in the message where not."""

from pathlib import Path

import pytest

from calibration.quantise import Recipe, quantise_bundle
from handmap.bundle import read_bundle

pytest.importorskip("tensorrt_rtx", reason="needs NVIDIA's tensorrt_rtx wheel, of the extra develop on x86-64")

from tests.calibration.rtx import build

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "handmap-hand21"


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
    size, lines = build(read_bundle(small_bundle).graph_path("hand", precision).read_bytes(), batch=2)

    assert size > 0, "\n".join(lines)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_shipped_bundle_is_built(precision: str) -> None:
    if not SHIPPED.exists() or precision not in read_bundle(SHIPPED).hand.precisions:
        pytest.skip(f"needs {SHIPPED.relative_to(SHIPPED.parents[1])} with an {precision} graph")
    size, lines = build(read_bundle(SHIPPED).graph_path("hand", precision).read_bytes())

    assert size > 0, "\n".join(lines)


def test_what_tensorrt_does_not_take_is_told(small_bundle: Path) -> None:
    content = read_bundle(small_bundle).graph_path("hand", "fp32").read_bytes()

    size, lines = build(content[: len(content) // 2])

    assert size == 0 and lines
