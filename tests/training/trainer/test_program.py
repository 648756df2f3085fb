"""The trained program: any batch, named outputs, model facts inside and beside it, half precision; and the confidence
table.
"""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from handmap.bundle.facts import Normalization
from handmap.bundle.model_metadata import METADATA_FILE, decode_metadata
from handmap.types.errors import ModelError
from handmap.types.joints import HAND21
from training.network.network import HandMap, NetworkConfig
from training.trainer.checkpoint import Checkpoint, read_weights
from training.trainer.program import write_program
from training.trainer.train_config import TrainConfig
from training.trainer.validate import ValidationSet

CONFIG = TrainConfig(total_samples=1000, network=NetworkConfig(features=16))
CHECKPOINT = Checkpoint({}, {}, {}, 10, 320, {}, 12.5, {})


@pytest.fixture(scope="module")
def network() -> HandMap:
    torch.manual_seed(0)
    return HandMap(CONFIG.network).eval()


@pytest.fixture(scope="module")
def program_path(network: HandMap, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "handmap.pt2"
    rng = np.random.default_rng(0)
    depth = rng.uniform(-1, 1, (16, 1, 128, 128)).astype(np.float32)
    validation = ValidationSet(depth, rng.uniform(-1, 1, (16, 21, 3)).astype(np.float32), 250.0)
    write_program(path, network, validation, CONFIG, CHECKPOINT)
    return path


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_the_program_takes_any_batch_and_names_its_outputs(program_path: Path, network: HandMap, batch: int) -> None:
    program = torch.export.load(program_path)
    depth = torch.rand(batch, 1, 128, 128) * 2 - 1

    outputs = program.module()(depth)

    assert program.graph_signature.user_inputs == ("depth",)
    assert list(outputs) == ["joints", "guidance", "spread"]
    for name, expected in network(depth).items():
        torch.testing.assert_close(outputs[name], expected, atol=1e-5, rtol=1e-5)


def test_the_program_runs_in_half_precision(program_path: Path) -> None:
    depth = torch.rand(2, 1, 128, 128) * 2 - 1
    module = torch.export.load(program_path).module()
    expected = module(depth)["joints"]

    halved = module.half()(depth.half())["joints"]

    assert halved.dtype == torch.float16
    torch.testing.assert_close(halved.float(), expected, atol=5e-3, rtol=0)


def test_model_facts_travel_inside_and_beside_the_program(program_path: Path) -> None:
    extra = {METADATA_FILE: ""}
    torch.export.load(program_path, extra_files=extra)

    facts = decode_metadata(extra[METADATA_FILE], str(program_path))

    assert extra[METADATA_FILE] == program_path.with_suffix(".json").read_text()
    assert facts.joint_names == HAND21
    assert facts.cube_mm == 250 and facts.cube_mm_range[0] < 250 < facts.cube_mm_range[1]
    assert facts.normalization == Normalization(near=-1, far=1, background=1)
    assert facts.provenance["samples"] == 320
    assert sorted(path.name for path in program_path.parent.iterdir()) == ["handmap.json", "handmap.pt2"]


def test_the_weights_of_a_program_can_be_trained_on(program_path: Path, network: HandMap) -> None:
    weights = read_weights(program_path)

    again = HandMap(CONFIG.network)
    again.load_state_dict(weights)
    depth = torch.rand(1, 1, 128, 128) * 2 - 1
    torch.testing.assert_close(again.eval()(depth)["joints"], network(depth)["joints"])


def test_a_damaged_program_has_no_weights(tmp_path: Path) -> None:
    (tmp_path / "noise.pt2").write_bytes(b"noise")

    with pytest.raises(ModelError, match=r"noise\.pt2"):
        read_weights(tmp_path / "noise.pt2")


def test_the_program_names_no_folder_of_the_machine_that_made_it(program_path: Path) -> None:
    import training.trainer.program

    with zipfile.ZipFile(program_path) as archive:
        contents = b"".join(archive.read(name) for name in archive.namelist())

    assert str(Path(training.trainer.program.__file__).parent).encode() not in contents
