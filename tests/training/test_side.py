"""The side branch: how a palm lies, what that says of the side, and a program that tells it."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from handmap.errors import ModelError
from tests.export.programs import FACTS
from training.network import HandMap, NetworkConfig
from training.palm_network import PalmNetwork
from training.palm_program import write_palm_program
from training.palm_score import PalmScore
from training.program import export_network, save_program
from training.sample_cache import CacheConfig, RenderedHands
from training.side import SideTrainConfig, make_batch, read_trunk, train_side
from training.side_branch import Palm, SideBranch, palm_of
from training.synthetic import render_samples


@pytest.fixture(scope="module")
def trunk_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("trunk") / "handmap.pt2"
    made_from = {"config": {"network": msgspec.to_builtins(NetworkConfig())}}
    save_program(path, export_network(HandMap(NetworkConfig())), msgspec.structs.replace(FACTS, made_from=made_from))
    return path


@pytest.fixture(scope="module")
def hands() -> RenderedHands:
    samples = render_samples(0, 12)
    kept = np.flatnonzero(np.isfinite(samples.joints_mm[:, 0, 0]))
    return RenderedHands(samples.canvas[kept], samples.is_hand[kept], samples.joints_mm[kept])


def test_a_true_palm_tells_its_side(hands: RenderedHands) -> None:
    right = torch.from_numpy(hands.joints_mm)
    left = right * torch.tensor([-1.0, 1, 1])
    ones = torch.ones(len(right), 1)
    branch = SideBranch(4)

    assert (branch.judge(palm_of(right, ones)) > 1).all()
    assert (branch.judge(palm_of(left, 0 * ones)) < -1).all()


def test_mirrored_joints_have_a_mirrored_palm(hands: RenderedHands) -> None:
    right = torch.from_numpy(hands.joints_mm)
    mirror = torch.tensor([-1.0, 1, 1])
    ones = torch.ones(len(right), 1)

    for vector, twin in zip(palm_of(right, ones), palm_of(right * mirror, 0 * ones), strict=True):
        torch.testing.assert_close(vector * mirror, twin)


def test_every_second_hand_of_a_batch_is_left(hands: RenderedHands) -> None:
    many = RenderedHands(*(np.repeat(array, 8, axis=0) for array in hands))  # type: ignore[arg-type]  # each keeps its type
    config = SideTrainConfig(total_samples=8, trunk=Path())
    batch = make_batch(many, (1, 2), np.arange(len(many.canvas)), config)

    assert 0.3 < float(batch.is_right.mean()) < 0.7
    branch = SideBranch(4)
    assert ((branch.judge(Palm(*batch.palm)) > 0) == (batch.is_right > 0.5)).all()


def test_a_run_gives_a_program_that_tells_sides_and_keeps_the_joints(trunk_path: Path, tmp_path: Path) -> None:
    config = SideTrainConfig(
        total_samples=16, trunk=trunk_path, out=tmp_path / "side", shards=1, batch_samples=8, warmup_samples=4,
        cache=CacheConfig(folder=tmp_path / "cache", shard_samples=24),
    )  # fmt: skip

    path = train_side(config)

    depth = torch.rand(3, 1, 128, 128) * 2 - 1
    joined, alone = torch.export.load(path).module()(depth), torch.export.load(trunk_path).module()(depth)
    assert set(joined) == {"joints", "guidance", "side"} and joined["side"].shape == (3, 1)
    torch.testing.assert_close(joined["joints"], alone["joints"])
    again, facts = read_trunk(path)
    assert facts.made_from["side"]["samples"] == 16 and facts.cube_mm == FACTS.cube_mm
    torch.testing.assert_close(again(depth)["joints"], alone["joints"])


def test_what_is_no_hand_network_is_refused(tmp_path: Path) -> None:
    write_palm_program(tmp_path / "palm.pt2", PalmNetwork(), PalmScore(0.0, 0.0, 0.0, 0.0), {})
    (tmp_path / "noise.pt2").write_bytes(b"noise")

    for name in ("palm.pt2", "noise.pt2"):
        with pytest.raises(ModelError, match=name):
            read_trunk(tmp_path / name)
