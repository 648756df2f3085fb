"""CuPy on a machine with a GPU, or a skipped test that says what is missing."""

from types import ModuleType

import pytest

from handmap.engines import gpu
from handmap.types.errors import DependencyError


@pytest.fixture(scope="session")
def cupy() -> ModuleType:
    try:
        return gpu.open_gpu()
    except DependencyError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def torch(cupy: ModuleType) -> ModuleType:
    """torch on a GPU, or a skip that says what is missing."""
    module = pytest.importorskip("torch")
    if not module.cuda.is_available():
        pytest.skip("torch finds no usable GPU")
    return module  # type: ignore[no-any-return]  # importorskip gives Any
