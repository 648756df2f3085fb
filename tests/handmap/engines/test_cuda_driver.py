"""Querying the driver: its facts, and an error if it is missing, is something else, or has no device."""

from pathlib import Path

import pytest

from handmap.engines.cuda_driver import DeviceFacts, read_device_facts
from handmap.types.errors import DependencyError
from tests.support.compiled import compile_library


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A library that answers like the driver of a board."""
    return str(compile_library("fake_cuda.c", tmp_path_factory.mktemp("driver") / "libfakecuda.so"))


def test_the_facts_of_the_device_are_read(driver: str) -> None:
    assert read_device_facts(library=driver) == DeviceFacts("Orin", 8, (8, 7))


@pytest.mark.parametrize("function", ["cuInit", "cuDeviceGet", "cuDeviceGetName", "cuDeviceGetAttribute"])
def test_driver_errors_are_reported_in_its_own_words(
    driver: str, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    monkeypatch.setenv("FAKE_CUDA_FAIL_AT", function)

    with pytest.raises(DependencyError, match=rf"{function} returned 100 \(no CUDA-capable device is detected\)"):
        read_device_facts(library=driver)


def test_a_missing_device_is_refused(driver: str) -> None:
    with pytest.raises(DependencyError, match=r"cuDeviceGet returned 101 \(invalid device ordinal\)"):
        read_device_facts(device=3, library=driver)


def test_a_missing_driver_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match="CUDA driver cannot be loaded"):
        read_device_facts(library=str(tmp_path / "libcuda.so.1"))


def test_a_library_that_is_not_a_driver_is_reported() -> None:
    with pytest.raises(DependencyError, match=r"is not a CUDA driver, it has no cuInit"):
        read_device_facts(library="libc.so.6")
