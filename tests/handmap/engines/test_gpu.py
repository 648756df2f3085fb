"""Without a GPU, requesting one gives a clear error; the rest of handmap/engines/gpu.py is tested on a GPU."""

from importlib.util import find_spec

import pytest

from handmap.engines import gpu
from handmap.types.errors import DependencyError


def has_gpu() -> bool:
    try:
        gpu.open_gpu()
    except DependencyError:
        return False
    return True


pytestmark = pytest.mark.skipif(has_gpu(), reason="this machine has a GPU; tests/gpu covers it")


@pytest.mark.skipif(find_spec("cupy") is not None, reason="CuPy is installed here")
def test_without_cupy_the_error_names_the_extra_to_install() -> None:
    with pytest.raises(
        DependencyError, match=r"CuPy cannot be imported \(No module named 'cupy'\); .* jetpack6 or jetpack7"
    ):
        gpu.open_gpu()


@pytest.mark.skipif(find_spec("cupy") is None, reason="CuPy is not installed here")
def test_without_a_gpu_the_error_has_cudas_message() -> None:
    with pytest.raises(
        DependencyError, match=r"CuPy [\d.]+ finds no usable GPU \(cudaError\w+: .*\); install NVIDIA's"
    ):
        gpu.open_gpu()


def test_the_fused_crop_is_refused_before_anything_is_allocated() -> None:
    with pytest.raises(DependencyError, match=r"^GPU: CuPy"):
        gpu.FusedCrop(2)
