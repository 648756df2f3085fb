"""Networks in conventions of their own: converted where the facts state them, else refused by what they do."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from export.conduct import refuse_misbehavior
from export.labels import LabeledCrops, score_labels
from export.to_bundle import export_bundle
from handmap.bundle.facts import STANDARD, Normalization
from handmap.bundle.golden import read_golden
from handmap.bundle.manifest import read_bundle
from handmap.bundle.model_metadata import ModelMetadata
from handmap.engines.onnx_engine import run_graph
from handmap.recording.stated import RecordingAt
from handmap.types.arrays import Float32
from handmap.types.errors import ModelError
from handmap.types.joints import HAND21
from tests.export.programs import FACTS, SmallNetwork, save_program

BACKWARD = tuple(reversed(HAND21))
ZERO_ONE = Normalization(0.0, 1.0, 0.0)
OTHER = msgspec.structs.replace(FACTS, joint_names=BACKWARD, normalization=ZERO_ONE)


class Dressed(nn.Module):
    """The small network as somebody else would have trained it: input 0..1 with background 0, joints from the last to the first."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.order: Tensor
        self.register_buffer("order", torch.eye(21).flip(0))

    def forward(self, depth: Tensor) -> dict[str, Tensor]:
        standard = torch.where(depth > 0.0, depth * 2.0 - 1.0, 1.0)
        found = self.inner(standard)
        maps = self.order @ found["guidance"].flatten(2)
        return {"joints": self.order @ found["joints"], "guidance": maps.unflatten(2, (32, 32))}


def answers(bundle: Path, precision: str, depth: Float32) -> dict[str, Float32]:
    content = (bundle / f"hand.{precision}.onnx").read_bytes()
    return run_graph(content, depth, ("joints", "guidance"))


@pytest.fixture(scope="module")
def dressed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The small network, and the same one in another's conventions."""
    torch.manual_seed(0)
    folder, network = tmp_path_factory.mktemp("dressed"), SmallNetwork().eval()
    return save_program(folder / "plain.pt2", network), save_program(folder / "other.pt2", Dressed(network), OTHER)


def test_stated_order_and_normalization_are_applied_in_every_precision(
    dressed: tuple[Path, Path], recording: Path, tmp_path: Path
) -> None:
    for name, program in zip(("plain", "other"), dressed, strict=True):
        export_bundle(program, tmp_path / name, RecordingAt(recording), None)

    bundle = read_bundle(tmp_path / "other")
    depth = read_golden(read_bundle(tmp_path / "plain")).depth
    assert bundle.hand.joint_names == HAND21
    assert bundle.hand.normalization == STANDARD
    assert float((depth < 1).mean()) > 0.01
    for precision, tolerance in (("fp32", 1e-5), ("fp16", 0.02)):
        found, wanted = (answers(tmp_path / name, precision, depth) for name in ("other", "plain"))
        np.testing.assert_allclose(found["joints"], wanted["joints"], atol=tolerance)
        np.testing.assert_allclose(found["guidance"], wanted["guidance"], atol=tolerance)


def test_an_onnx_graph_is_converted_too(dressed: tuple[Path, Path], recording: Path, tmp_path: Path) -> None:
    facts = tmp_path / "facts.yaml"
    facts.write_bytes(msgspec.yaml.encode(OTHER))
    export_bundle(dressed[0], tmp_path / "plain", RecordingAt(recording), None, has_half=False)
    graph = onnx.load(tmp_path / "plain" / "hand.fp32.onnx")
    onnx.save(graph, tmp_path / "given.onnx")

    export_bundle(tmp_path / "given.onnx", tmp_path / "out", RecordingAt(recording), facts, has_half=False)

    depth = read_golden(read_bundle(tmp_path / "out")).depth
    as_given = np.where(depth < 1, (depth + 1) / 2, 0).astype(np.float32)
    wanted = answers(tmp_path / "plain", "fp32", as_given)["joints"][:, ::-1]
    np.testing.assert_allclose(answers(tmp_path / "out", "fp32", depth)["joints"], wanted, atol=1e-5)


@pytest.mark.parametrize("joints", [14, 16, 20, 26])
def test_other_joints_are_refused_by_the_name_of_the_fact(recording: Path, tmp_path: Path, joints: int) -> None:
    stated = tmp_path / "facts.yaml"
    content = msgspec.to_builtins(FACTS) | {"joint_names": [f"j{index}" for index in range(joints)]}
    stated.write_bytes(msgspec.yaml.encode(content))
    program = save_program(tmp_path / "p.pt2", SmallNetwork(joints), None)

    with pytest.raises(Exception, match=f"joint_names: wanted the 21 joints of hand21 .*found {joints}"):
        export_bundle(program, tmp_path / "out", RecordingAt(recording), stated)

    assert not (tmp_path / "out").exists()


class InTrainMode(nn.Module):
    """Like `SmallNetwork` with a dropout that is never switched off."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = SmallNetwork()

    def forward(self, depth: Tensor) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = self.inner(depth)
        return outputs | {"joints": nn.functional.dropout(outputs["joints"], 0.5, training=True)}


class InMillimeters(InTrainMode):
    """Joints in mm instead of half cube sides."""

    def forward(self, depth: Tensor) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = self.inner(depth)
        return outputs | {"joints": outputs["joints"].tanh() * 125}


@pytest.mark.parametrize(
    ("network", "said"), [(InTrainMode(), "it is in train mode; call network.eval"), (InMillimeters(), "look like mm")]
)
def test_a_network_that_cannot_be_right_is_refused(
    recording: Path, tmp_path: Path, network: nn.Module, said: str
) -> None:
    torch.manual_seed(0)
    program = save_program(tmp_path / "p.pt2", network)

    with pytest.raises(ModelError, match=said):
        export_bundle(program, tmp_path / "out", RecordingAt(recording), None)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_joints_that_are_not_finite_are_refused(bad: float) -> None:
    depth = np.ones((8, 1, 128, 128), np.float32)

    with pytest.raises(ModelError, match="not finite"):
        refuse_misbehavior(lambda some: np.full((len(some), 21, 3), bad, np.float32), depth, 125.0, "n")


ZERO_BEHIND = Normalization(near=-1.0, far=1.0, background=0.0)


def true_joints(depth: Float32) -> Float32:
    """Joints that follow from the crops: a fixed hand, moved by the means of the four quarters of the depth."""
    rng = np.random.default_rng(5)
    hand = rng.uniform(-0.6, 0.6, (21, 3)) + np.array([0.2, 0.3, -0.25])
    means = depth.reshape(len(depth), 2, 64, 2, 64).mean(axis=(2, 4)).reshape(len(depth), 4)
    moved: Float32 = (hand + (means @ rng.uniform(-1, 1, (4, 3)))[:, None]).astype(np.float32)
    return moved


def labeled_crops() -> LabeledCrops:
    depth = np.ones((16, 1, 128, 128), np.float32)
    depth[:, :, 30:100, 40:90] = np.random.default_rng(6).uniform(-1, 0, (16, 1, 1, 1))
    return LabeledCrops(depth, true_joints(depth), 125.0)


def test_a_network_that_is_right_is_scored() -> None:
    labeled = labeled_crops()

    score = score_labels(lambda depth: true_joints(depth) + np.float32(0.01), FACTS, labeled, "n")

    assert abs(score.mean_mm - 0.01 * 125 * 3**0.5) < 0.01
    assert score.crops == 16


@pytest.mark.parametrize(
    ("run", "facts", "said"),
    [
        (lambda depth: true_joints(depth) * np.array([1, -1, 1], np.float32), FACTS, "with y negated; negate y"),
        (lambda depth: true_joints(depth) * np.array([-1, 1, -1], np.float32), FACTS, "with x and z negated"),
        (lambda depth: true_joints(depth) * np.float32(125), FACTS, "if they are in mm"),
        (lambda depth: true_joints(depth) * np.float32(0.125), FACTS, "if they are in meters"),
        (lambda depth: (true_joints(depth) + 1) / 2, FACTS, "if they run from 0 to 1"),
        (lambda depth: true_joints(depth)[:, ::-1], FACTS, f"state joint_names: .{', '.join(BACKWARD)}."),
        (lambda depth: true_joints(depth), msgspec.structs.replace(FACTS, joint_names=BACKWARD), f"state joint_names: .{', '.join(HAND21)}."),
        (lambda depth: true_joints(np.where(depth > 0, depth * 2 - 1, 1)), FACTS, "near: 0.0, far: 1.0, background: 0.0"),
        (lambda depth: true_joints(depth), msgspec.structs.replace(FACTS, normalization=ZERO_BEHIND), "near: -1.0, far: 1.0, background: 1.0"),
        (lambda depth: true_joints(depth) + 3, FACTS, "wanted less than half the cube's side"),
        (lambda depth: true_joints(depth) * np.float32(np.nan), FACTS, "wanted less than half the cube's side"),
    ],
)  # fmt: skip
def test_a_network_that_is_right_in_another_convention_is_refused_with_what_to_change(
    run: Callable[[Float32], Float32], facts: ModelMetadata, said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        score_labels(run, facts, labeled_crops(), "n")
