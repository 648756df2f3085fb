"""Damage of any file of a bundle is noticed, and what is no file or no samples is refused within bounds."""

import hashlib
import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from handmap.bundle.golden import read_golden
from handmap.bundle.manifest import read_bundle
from handmap.bundle.writer import read_files, write_bundle
from handmap.types.errors import BundleError
from tests.support import tiny_bundle
from tests.support.bounded import within


@pytest.fixture
def stamped(tmp_path: Path) -> Path:
    """A bundle of the present format."""
    source = tiny_bundle.write_bundle(tmp_path / "old")
    write_bundle(tmp_path / "b", source.manifest, read_files(source))
    return tmp_path / "b"


def test_any_flipped_bit_of_any_file_of_a_bundle_is_noticed(stamped: Path) -> None:
    random = np.random.default_rng(0)
    for file in sorted(stamped.iterdir()):
        content = file.read_bytes()
        bits = range(len(content) * 8) if file.name == "manifest.sha256" else random.integers(0, len(content) * 8, 200)
        for bit in bits:
            flipped = bytearray(content)
            flipped[bit // 8] ^= 1 << int(bit) % 8
            file.write_bytes(flipped)
            with pytest.raises(BundleError):
                read_bundle(stamped)
        file.write_bytes(content)

    assert read_bundle(stamped).manifest.format == 2


def test_a_bundle_of_the_present_format_needs_the_hash_of_its_manifest(stamped: Path) -> None:
    (stamped / "manifest.sha256").unlink()

    with pytest.raises(BundleError, match=r"manifest\.sha256 is missing"):
        read_bundle(stamped)


def test_sha256sum_checks_the_manifest(stamped: Path) -> None:
    subprocess.run(["sha256sum", "--strict", "-c", "manifest.sha256"], cwd=stamped, check=True, capture_output=True)


def test_a_bundle_without_the_hash_of_its_manifest_is_read_if_it_is_of_the_first_format(tmp_path: Path) -> None:
    assert tiny_bundle.write_bundle(tmp_path / "old").manifest.format == 1


@pytest.mark.parametrize("name", ["manifest.json", "hand.fp32.onnx", "golden.npz", "manifest.sha256"])
def test_a_named_pipe_in_a_bundle_is_refused_and_not_waited_for(name: str, stamped: Path) -> None:
    (stamped / name).unlink()
    os.mkfifo(stamped / name)

    with within(20), pytest.raises(BundleError, match="named pipe"):
        read_bundle(stamped)


def integer_joints(depth: NDArray[Any], joints: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {"depth": depth, "joints": np.zeros(joints.shape, np.int64)}


def nothing(depth: NDArray[Any], joints: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {"depth": depth[:0], "joints": joints[:0]}


def not_finite(depth: NDArray[Any], joints: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {"depth": depth, "joints": np.full(joints.shape, np.nan, np.float32)}


def bomb(depth: NDArray[Any], joints: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {"depth": np.zeros((300, 1 << 20), np.float32), "joints": joints}


@pytest.mark.parametrize("change", [integer_joints, nothing, not_finite, bomb])
def test_golden_samples_of_another_kind_are_refused_within_bounds(
    change: Callable[..., dict[str, NDArray[Any]]], tmp_path: Path
) -> None:
    source = tiny_bundle.write_bundle(tmp_path / "old")
    golden = read_golden(source)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **change(golden.depth, golden.joints))  # type: ignore[arg-type]  # as in test_reading
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    manifest = msgspec.structs.replace(source.manifest, golden_sha256=digest)
    write_bundle(tmp_path / "b", manifest, {**read_files(source), "golden.npz": buffer.getvalue()})

    with within(60), pytest.raises(BundleError, match=r"golden\.npz"):
        read_golden(read_bundle(tmp_path / "b"))
