"""Invalid bundles that are refused although all their hashes match."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from handmap.bundle.confidence import JointDoubt
from handmap.bundle.golden import read_golden
from handmap.bundle.manifest import GOLDEN, MANIFEST, read_bundle
from handmap.engines.factory import EngineConfig, open_engines
from handmap.types.arrays import Float32
from handmap.types.errors import BundleError
from tests.support.tiny_bundle import write_bundle


def rewrite(path: Path, change: Callable[[dict], None]) -> None:  # type: ignore[type-arg]  # plain JSON
    manifest = msgspec.json.decode((path / MANIFEST).read_bytes())
    change(manifest)
    (path / MANIFEST).write_bytes(msgspec.json.encode(manifest))


def gate(**changed: object) -> dict[str, object]:
    passed = {"passed": True, "kind": "labels", "mean_mm": 0.1, "p95_mm": 0.2, "limits": {"mean": 0.5, "p95": 1.5}}
    return {**passed, "dataset": "d", "frames": 9, **changed}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda hand: hand.update(precisions={}), "precisions must be"),
        (lambda hand: hand["precisions"].update(fp64=hand["precisions"].pop("fp32")), "precisions must be"),
        (lambda hand: hand.update(cube_mm=400), "cube_mm must lie"),
        (
            lambda hand: hand["joint_names"].pop(),
            "joint_names: wanted the 21 joints of hand21 .* found 20, without little_tip",
        ),
        (
            lambda hand: hand["joint_names"].reverse(),
            "joint_names: wanted the order of hand21 .* export the network again",
        ),
        (lambda hand: hand["joint_names"].__setitem__(0, "palm"), "joint_names: .* 'palm', without wrist"),
        (lambda hand: hand["normalisation"].update(near=0.0), "normalisation: wanted near -1, far 1 and background 1"),
        (lambda hand: hand["normalisation"].update(background=0.0), "normalisation: wanted near -1"),
        (lambda hand: hand["tensors"]["outputs"][0].update(shape=["batch", 20, 3]), r"tensors\.outputs: wanted joints"),
        (lambda hand: hand["tensors"]["inputs"][0].update(dtype="float16"), r"tensors\.inputs: wanted float32 depth"),
        (lambda hand: hand.update(cube_mm=1e-300), r"`float` >= 50.*hand\.cube_mm`"),
        (lambda hand: hand.update(cube_mm_range=[180.0, 1e300]), "cube_mm_range"),
        (lambda hand: hand["confidence"].update(hand_probability=[7.0]), "`float` <= 1.*hand_probability"),
        (lambda hand: hand["confidence"].update(expected_error_mm=[12.0, -1e30]), "`float` >= 0.*expected_error_mm"),
        (lambda hand: hand["precisions"]["fp32"].update(bytes=1), "states 1 as bytes"),
        (
            lambda hand: hand["precisions"]["fp32"].update(gate=gate(mean_mm=0.9)),
            "passed: stated as true, but .'mean'.",
        ),
        (lambda hand: hand["precisions"]["fp32"].update(gate=gate(limits={})), "passed: stated as true, but nothing"),
        (lambda hand: hand.update(speed=1), "unknown field"),
        (lambda hand: hand["confidence"]["guidance"].reverse(), "must rise"),
        (
            lambda hand: hand["confidence"]["expected_error_mm"].reverse(),
            "expected_error_mm must not rise with the guidance",
        ),
        (
            lambda hand: hand["confidence"].update(hand_peak=[0.1, 0.9], hand_probability=[0.9, 0.1]),
            "hand_probability must not fall",
        ),
        (
            lambda hand: hand["confidence"].update(
                expected_error_mm=[one / 1000 for one in hand["confidence"]["expected_error_mm"]]
            ),
            "write millimeters, not meters",
        ),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(
    tmp_path: Path,
    change: Callable[[dict], None],  # type: ignore[type-arg]  # plain JSON
    said: str,
) -> None:
    write_bundle(tmp_path / "tiny")
    rewrite(tmp_path / "tiny", lambda manifest: change(manifest["graphs"]["hand"]))

    with pytest.raises(BundleError, match=said):
        read_bundle(tmp_path / "tiny")


def archive(**arrays: Float32) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # the stubs take the names for options
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"no archive",
        archive(depth=np.zeros((2, 1, 128, 128), np.float32)),
        archive(depth=np.zeros((2, 1, 64, 64), np.float32), joints=np.zeros((2, 21, 3), np.float32)),
        archive(depth=np.zeros((2, 1, 128, 128), np.float32), joints=np.zeros((3, 21, 3), np.float32)),
        archive(depth=np.zeros((0, 1, 128, 128), np.float32), joints=np.zeros((0, 21, 3), np.float32)),
    ],
)
def test_golden_samples_of_the_wrong_kind_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tiny"
    write_bundle(path)
    (path / GOLDEN).write_bytes(content)
    rewrite(path, lambda manifest: manifest.update(golden_sha256=hashlib.sha256(content).hexdigest()))
    bundle = read_bundle(path)

    with pytest.raises(BundleError, match=r"golden\.npz"):
        read_golden(bundle)


def test_a_precision_missing_from_the_bundle_is_refused(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "tiny")

    with pytest.raises(BundleError, match="no int8 file for graph 'hand'"):
        open_engines(bundle, EngineConfig(precision="int8"), 1)


@pytest.mark.parametrize(
    ("expected_error_mm", "said"),
    [
        ((20.0, 5.0), "must not fall with the doubt"),
        ((0.005, 0.02), "write millimeters"),
        ((0.0, 0.0), "wanted at least 1 mm"),
    ],
)
def test_a_table_that_no_fit_gives_is_refused(expected_error_mm: tuple[float, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        JointDoubt((0.0, 1.0), expected_error_mm)
