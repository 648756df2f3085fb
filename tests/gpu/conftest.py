"""CuPy on a machine with a GPU, or a skipped test that says what is missing."""

from types import ModuleType

import pytest

from handmap import gpu
from handmap.errors import DependencyError


@pytest.fixture(scope="session")
def cupy() -> ModuleType:
    try:
        return gpu.open_gpu()
    except DependencyError as error:
        pytest.skip(str(error))
