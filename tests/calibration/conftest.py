"""Fixtures, made once: a bundle of a small network, recordings of a moving shape, a calibration set."""

import json
from pathlib import Path

import numpy as np
import pytest

from calibration.report import report_bundle
from calibration.select import SelectRequest, select_set
from export.to_bundle import export_bundle
from handmap.recording.writer import RecordingWriter
from handmap.types.intrinsics import Intrinsics
from handmap.types.values import DepthFrame
from tests.calibration.networks import disc_depth, save_residual_program
from tests.calibration.palms import learn_discs, save_palm_program

INTRINSICS = Intrinsics(320, 240, 240.0, 240.0, 159.5, 119.5)
FRAMES = 60


def write_disc(path: Path, seed: int, frames: int = FRAMES, is_noise: bool = False) -> Path:
    """A recording of the disc moving away from the camera, each at a different distance."""
    random = np.random.default_rng(seed)
    with RecordingWriter(path, INTRINSICS, 1.0) as writer:
        for number in range(frames):
            z_mm = 350 + 90 * seed % 250 + 2 * number
            depth = disc_depth(number + 100 * seed, z_mm, random)
            if is_noise:
                depth = np.where(depth > 0, random.integers(int(z_mm), int(z_mm) + 100, depth.shape), 0).astype(
                    np.uint16
                )
            writer.write(DepthFrame(depth, 1.0, INTRINSICS, number, number * 33_000_000))
    return path


def write_set_without_pictures(path: Path, out: Path) -> None:
    """The set in the older format without detector inputs."""
    manifest = json.loads((path / "set.json").read_bytes())
    manifest["files"] = {name: sha256 for name, sha256 in manifest["files"].items() if "pictures" not in name}
    for name in manifest["files"]:
        (out / name).write_bytes((path / name).read_bytes())
    (out / "set.json").write_text(json.dumps(manifest))


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("recordings")
    return [write_disc(folder / f"disc{seed}", seed) for seed in range(4)]


@pytest.fixture(scope="session")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    program = save_residual_program(folder / "residual.pt2")
    export_bundle(program, folder / "residual", write_disc(folder / "samples", 9, 210), None)
    return folder / "residual"


@pytest.fixture(scope="session")
def palm_bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the same hand graph with a palm graph that detects the disc."""
    folder = tmp_path_factory.mktemp("palm")
    program = save_residual_program(folder / "residual.pt2")
    palm = save_palm_program(folder / "palm.pt2", learn_discs())
    export_bundle(program, folder / "both", write_disc(folder / "samples", 9, 210), None, palm_checkpoint=palm)
    return folder / "both"


@pytest.fixture(scope="session")
def request_all(bundle_path: Path, recordings: list[Path]) -> SelectRequest:
    """A forced request: all four recordings, few frames."""
    return SelectRequest(bundle_path, tuple(str(path) for path in recordings), (), 64, 5, "right", True)


@pytest.fixture(scope="session")
def set_path(tmp_path_factory: pytest.TempPathFactory, request_all: SelectRequest) -> Path:
    path = tmp_path_factory.mktemp("set") / "set"
    select_set(request_all, path)
    return path


@pytest.fixture(scope="module")
def reported_path(int8_path: Path, set_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The INT8 bundle of a module, with its report in it."""
    path = tmp_path_factory.mktemp("reported") / "bundle"
    report_bundle(int8_path, str(set_path), 100, "right", path)
    return path
