"""The palm graph of a bundle: it matches its program, opens along with the hand graph, and is rejected with a clear error."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from export.palm import pictures_of_recording
from export.to_bundle import export_bundle
from handmap.bundle.manifest import read_bundle
from handmap.engines.factory import EngineConfig, open_engines
from handmap.types.errors import BundleError, ModelError
from training.network.palm_network import PalmNetwork
from training.trainer.palm_program import write_palm_program
from training.trainer.palm_score import PalmScore


@pytest.fixture(scope="module")
def palm_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("palm") / "palm.pt2"
    write_palm_program(path, PalmNetwork(), PalmScore(0.0, 0.0, 0.0, 0.0), {})
    return path


@pytest.fixture(scope="module")
def bundle_path(tmp_path_factory: pytest.TempPathFactory, program: Path, recording: Path, palm_program: Path) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "both"
    export_bundle(program, path, recording, None, palm_checkpoint=palm_program)
    return path


def test_the_palm_engine_matches_its_program(bundle_path: Path, recording: Path, palm_program: Path) -> None:
    engines = open_engines(read_bundle(bundle_path), EngineConfig(), batch=1)
    program = torch.export.load(palm_program).module()
    pictures = pictures_of_recording(recording)[:8]

    assert engines.palm is not None and 0 < engines.min_score < 1
    with torch.inference_mode():
        wanted = program(torch.from_numpy(pictures))["palms"].numpy()
    for picture, answer in zip(pictures, wanted, strict=True):
        np.testing.assert_allclose(engines.palm.infer(picture[0]), answer, atol=1e-4)


def test_every_precision_of_the_hand_finds_a_palm_engine(bundle_path: Path) -> None:
    bundle = read_bundle(bundle_path)

    for precision in ("fp32", "fp16"):
        engines = open_engines(bundle, EngineConfig(precision=precision), batch=1)

        assert engines.palm is not None and engines.palm.precision == precision


def test_the_palm_graph_follows_the_contract(bundle_path: Path) -> None:
    model = onnx.load(bundle_path / "palm.fp16.onnx")
    shapes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }

    assert shapes == {"depth_small": ["batch", 1, 96, 128], "palms": ["batch", 3, 24, 32]}


def test_a_modified_palm_file_is_rejected_by_name(bundle_path: Path, tmp_path: Path) -> None:
    for file in bundle_path.iterdir():
        content = file.read_bytes()
        (tmp_path / file.name).write_bytes(content[:-1] if file.name == "palm.fp32.onnx" else content)

    with pytest.raises(BundleError, match=r"palm\.fp32\.onnx has sha256"):
        read_bundle(tmp_path)


def test_a_hand_program_is_rejected_as_a_palm_program(program: Path, recording: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no metadata of a palm network"):
        export_bundle(program, tmp_path / "bundle", recording, None, palm_checkpoint=program)
    assert not (tmp_path / "bundle").exists()
