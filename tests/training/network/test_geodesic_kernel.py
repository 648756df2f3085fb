"""The CUDA kernel of the geodesic, its own source run on the host with threads in random order, against fast marching."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.host_kernel import HostGeodesic
from tests.training.silhouettes import silhouettes
from training.network.geodesic import geodesic_closeness

# Not imported from its home, which needs CuPy.
SOURCE = Path(__file__).parents[3] / "training" / "network" / "kernels" / "geodesic.cu"
CLOSE = 1e-5

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ to compile the kernel for the host")


def test_it_ends_where_fast_marching_does(tmp_path: Path) -> None:
    kernel = HostGeodesic(SOURCE, tmp_path)
    hard = silhouettes(count=12, joints=3)

    found = kernel.closeness(hard.hands, hard.cells, seed=1)

    np.testing.assert_allclose(found, geodesic_closeness(hard.hands, hard.cells), atol=CLOSE)


def test_a_missing_barrier_is_noticed(tmp_path: Path) -> None:
    barrier = "        __syncthreads();  // all have read\n"
    text = SOURCE.read_text()
    assert barrier in text
    (tmp_path / SOURCE.name).write_text(text.replace(barrier, "").replace("__syncthreads_or(is_nearer)", "is_nearer"))
    kernel = HostGeodesic(tmp_path / SOURCE.name, tmp_path)
    hard = silhouettes(count=12, joints=1)

    found = kernel.closeness(hard.hands, hard.cells, seed=1)

    assert np.abs(found - geodesic_closeness(hard.hands, hard.cells)).max() > CLOSE
