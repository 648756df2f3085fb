"""The side branch: how a palm lies, what that says of the side, and a program that tells it."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from handmap.types.errors import ConfigError, ModelError
from tests.export.programs import FACTS
from tests.training.checkpoints import assert_same_run
from training.network.handedness_branch import HandednessBranch, palm_frame
from training.network.network import HandMap, NetworkConfig
from training.network.palm_network import PalmNetwork
from training.samples.augment import augment, draw_warps
from training.samples.sample_cache import CacheConfig, RenderedHands
from training.synthesis.synthetic import render_samples
from training.trainer import handedness
from training.trainer.checkpoint import LAST, read_checkpoint
from training.trainer.handedness import (
    HandednessBatch,
    HandednessScore,
    make_handedness_batch,
    read_trunk,
    score,
    train_handedness,
)
from training.trainer.handedness_config import HandednessTrainConfig
from training.trainer.palm_program import write_palm_program
from training.trainer.palm_score import PalmScore
from training.trainer.program import export_network, save_program


@pytest.fixture(scope="module")
def trunk_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("trunk") / "handmap.pt2"
    provenance = {"config": {"network": msgspec.to_builtins(NetworkConfig())}}
    save_program(path, export_network(HandMap(NetworkConfig())), msgspec.structs.replace(FACTS, provenance=provenance))
    return path


@pytest.fixture(scope="module")
def hands() -> RenderedHands:
    samples = render_samples(0, 12)
    kept = np.flatnonzero(np.isfinite(samples.joints_mm[:, 0, 0]))
    return RenderedHands(samples.canvas[kept], samples.is_hand[kept], samples.joints_mm[kept])


def test_the_true_palm_orientation_gives_its_handedness(hands: RenderedHands) -> None:
    right = torch.from_numpy(hands.joints_mm)
    left = right * torch.tensor([-1.0, 1, 1])
    ones = torch.ones(len(right), 1)
    branch = HandednessBranch(4)

    assert (branch.judge(palm_frame(right, ones)) > 1).all()
    assert (branch.judge(palm_frame(left, 0 * ones)) < -1).all()


def test_mirrored_joints_have_a_mirrored_palm(hands: RenderedHands) -> None:
    right = torch.from_numpy(hands.joints_mm)
    mirror = torch.tensor([-1.0, 1, 1])
    ones = torch.ones(len(right), 1)

    for vector, twin in zip(palm_frame(right, ones), palm_frame(right * mirror, 0 * ones), strict=True):
        torch.testing.assert_close(vector * mirror, twin)


def test_every_second_hand_of_a_batch_is_left(hands: RenderedHands) -> None:
    many = RenderedHands(*(np.repeat(array, 8, axis=0) for array in hands))  # type: ignore[arg-type]  # each keeps its type
    config, indices = HandednessTrainConfig(total_samples=8, trunk=Path()), np.arange(len(many.canvas))
    plain = augment(many, draw_warps(config.augment, (1, 2), indices), config.cube_mm)

    batch = make_handedness_batch(many, (1, 2), indices, config)

    is_left = batch.is_right[:, 0].numpy() == 0
    mirror = torch.from_numpy(np.where(is_left[:, None], (-1, 1, 1), 1).astype(np.float32))
    lying = palm_frame(torch.from_numpy(plain.joints), torch.ones(len(many.canvas), 1))
    assert 0.3 < is_left.mean() < 0.7
    np.testing.assert_array_equal(batch.depth[:, 0].numpy()[is_left], plain.depth[is_left, :, ::-1])
    np.testing.assert_array_equal(batch.depth[:, 0].numpy()[~is_left], plain.depth[~is_left])
    for found, vector in zip(batch.palm, lying, strict=True):
        torch.testing.assert_close(found, vector * mirror)


def test_negatives_get_a_neutral_logit(hands: RenderedHands) -> None:
    joints_mm = hands.joints_mm.copy()
    joints_mm[0] = np.nan
    config = HandednessTrainConfig(total_samples=8, trunk=Path())

    batch = make_handedness_batch(
        RenderedHands(hands.canvas, hands.is_hand, joints_mm), (1, 2), np.arange(len(joints_mm)), config
    )

    assert batch.is_hand[:, 0].tolist() == [0.0] + [1.0] * (len(joints_mm) - 1)
    assert HandednessBranch(4).judge(batch.palm)[0].item() == 0
    assert (HandednessBranch(4).judge(batch.palm)[1:].abs() > 1).all()


def test_a_run_adds_handedness_and_keeps_the_joints(trunk_path: Path, tmp_path: Path) -> None:
    config = HandednessTrainConfig(
        total_samples=16, trunk=trunk_path, validation_samples=32, out=tmp_path / "side", shards=1, batch_samples=8, warmup_samples=4,
        cache=CacheConfig(folder=tmp_path / "cache", shard_samples=24),
    )  # fmt: skip

    path = train_handedness(config)

    depth = torch.rand(3, 1, 128, 128) * 2 - 1
    joined, alone = torch.export.load(path).module()(depth), torch.export.load(trunk_path).module()(depth)
    assert set(joined) == {"joints", "guidance", "spread", "side"} and joined["side"].shape == (3, 1)
    torch.testing.assert_close(joined["joints"], alone["joints"])
    again, facts = read_trunk(path)
    assert facts.provenance["side"]["samples"] == 16 and facts.cube_mm == FACTS.cube_mm
    torch.testing.assert_close(again(depth)["joints"], alone["joints"])


def test_a_run_goes_on_where_it_was_stopped_and_only_on_its_own_trunk(
    trunk_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = HandednessTrainConfig(
        total_samples=24, trunk=trunk_path, validation_samples=32, out=tmp_path / "once", shards=1, batch_samples=8, warmup_samples=4,
        checkpoint_every_samples=8, cache=CacheConfig(folder=tmp_path / "cache", shard_samples=24),
    )  # fmt: skip
    train_handedness(config)
    stopped = msgspec.structs.replace(config, out=tmp_path / "twice")

    def stop_at_the_second(trunk: HandMap, branch: HandednessBranch, batch: HandednessBatch) -> HandednessScore:
        if (stopped.out / LAST).exists():
            raise KeyboardInterrupt
        return score(trunk, branch, batch)

    monkeypatch.setattr(handedness, "score", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        train_handedness(stopped)
    monkeypatch.undo()
    assert read_checkpoint(stopped.out / LAST).samples == 8
    train_handedness(stopped)

    assert_same_run(config.out, stopped.out)
    torch.manual_seed(1)
    save_program(tmp_path / "other.pt2", export_network(HandMap(NetworkConfig())), read_trunk(trunk_path)[1])
    with pytest.raises(ConfigError, match="trunk_sha256"):
        train_handedness(msgspec.structs.replace(config, trunk=tmp_path / "other.pt2"))


def test_a_program_that_is_not_a_hand_network_is_rejected(tmp_path: Path) -> None:
    write_palm_program(tmp_path / "palm.pt2", PalmNetwork(), PalmScore(0.0, 0.0, 0.0, 0.0), {})
    (tmp_path / "noise.pt2").write_bytes(b"noise")

    for name in ("palm.pt2", "noise.pt2"):
        with pytest.raises(ModelError, match=name):
            read_trunk(tmp_path / name)
