"""The palm network: its scenes, what it should answer to them, its size, and that a run can be interrupted."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from handmap.tracking.palm_detector import INPUT_COLUMNS, INPUT_ROWS, decode_detections
from handmap.types.errors import ConfigError
from tests.training.checkpoints import assert_same_run
from tests.training.samples.test_labeled_hands import write
from training.network.palm_network import PalmNetwork
from training.samples import palm_samples
from training.samples.labeled_palms import open_labeled_palms
from training.samples.palm_samples import PalmSamples, load_samples
from training.seed_domains import SeedDomain
from training.synthesis.motion import synthesize_frames
from training.synthesis.palm_scene import render_palm_sample
from training.trainer import palm_train
from training.trainer.checkpoint import LAST, read_checkpoint
from training.trainer.palm_score import INTRINSICS, PalmScore
from training.trainer.palm_targets import PalmTargets, make_targets, palm_loss
from training.trainer.palm_train import PalmTrainConfig, make_palm_batch, open_source, train_palm
from training.trainer.sources import SourceConfig


def test_a_scene_depends_on_its_seed_alone() -> None:
    first, again, other = (render_palm_sample(21, seed) for seed in (3, 3, 4))

    np.testing.assert_array_equal(first.depth, again.depth)
    assert not np.array_equal(first.depth, other.depth)


def test_scenes_show_none_one_and_two_hands_of_either_side() -> None:
    samples = [render_palm_sample(21, seed) for seed in range(40)]

    assert {len(sample.centers_mm) for sample in samples} == {0, 1, 2}
    assert {bool(side) for sample in samples for side in sample.is_right} == {True, False}
    well_seen = 0
    for sample in samples:
        for center, seen in zip(sample.centers_mm, sample.seen_joints, strict=True):
            column, row = (
                sample.intrinsics.fx_px * center[:2] / center[2] + (sample.intrinsics.cx_px, sample.intrinsics.cy_px)
            ).astype(int)
            near = sample.depth[max(row - 25, 0) : row + 26, max(column - 25, 0) : column + 26].astype(int)
            if seen >= 15:  # what is seen so well is really there
                well_seen += 1
                assert ((near > center[2] - 150) & (near < center[2] + 150)).any()
    assert well_seen >= 10


def test_the_targets_read_back_as_the_hands() -> None:
    hands = np.array([[[40.0, 30.0, 0.7], [90.0, 60.0, 0.4]]], np.float32)
    targets = make_targets(hands, np.array([[True, False]]), np.array([[21, 21]], np.int8))
    chance = targets.bump[0].clamp(1e-4, 1 - 1e-4)
    answer = torch.stack([torch.logit(chance), targets.size[0], targets.side[0] * 8 - 4]).numpy()

    near, far = decode_detections(answer, INTRINSICS, 0.3, 4)

    for palm, hand in ((near, hands[0, 0]), (far, hands[0, 1])):
        assert palm.center_mm[2] == pytest.approx(95 * 100 / 32 / hand[2], rel=1e-5)
        column = palm.center_mm[0] / palm.center_mm[2] * INTRINSICS.fx_px + INTRINSICS.cx_px
        assert column == pytest.approx(hand[0], abs=2.1)  # half a cell
    assert (near.right_probability > 0.9, far.right_probability < 0.1) == (True, True)


def test_a_hidden_hand_counts_neither_way_and_an_invisible_one_not_at_all() -> None:
    hands = np.array([[[40.0, 30.0, 0.7], [np.nan] * 3]], np.float32)
    side = np.array([[True, False]])
    doubtful = make_targets(hands, side, np.array([[5, 0]], np.int8))
    invisible = make_targets(hands, side, np.array([[1, 0]], np.int8))

    assert not doubtful.bump.any() and float(doubtful.weight.min()) == 0 and not doubtful.is_near.any()
    assert float(invisible.weight.min()) == 1 and not invisible.bump.any()


def test_a_labeled_frame_says_nothing_of_other_hands() -> None:
    hands = np.array([[[40.0, 30.0, 0.7], [np.nan] * 3]] * 2, np.float32)
    side, seen = np.array([[True, False]] * 2), np.array([[21, 0]] * 2, np.int8)
    targets = make_targets(hands, side, seen, np.array([True, False]))
    answer = torch.stack([targets.bump * 16 - 8, targets.size, targets.side * 16 - 8], dim=1)
    elsewhere, beside = answer.clone(), answer.clone()
    elsewhere[:, 0, 20, 28] = 8
    beside[:, 0, 7, 12] = 8

    def losses(answers: torch.Tensor) -> list[float]:
        return [
            float(palm_loss(answers[one : one + 1], PalmTargets(*(tensor[one : one + 1] for tensor in targets)), 0.25))
            for one in (0, 1)
        ]

    right, wrong = losses(answer), losses(elsewhere)
    assert wrong[0] > right[0] + 0.2 and wrong[1] == right[1]
    assert min(losses(beside)) > max(right) + 0.2


def test_the_loss_is_least_at_the_right_answer() -> None:
    hands = np.array([[[40.0, 30.0, 0.7], [np.nan] * 3]], np.float32)
    targets = make_targets(hands, np.array([[True, False]]), np.array([[21, 0]], np.int8))
    right = torch.stack([targets.bump * 16 - 8, targets.size, targets.side * 16 - 8], dim=1)
    moved, larger, other = right.roll(3, dims=3), right.clone(), right.clone()
    larger[:, 1] *= 1.3
    other[:, 2] *= -1

    losses = [float(palm_loss(answer, targets, 0.25)) for answer in (right, moved, larger, other)]

    assert losses[0] < 0.2 and min(losses[1:]) > losses[0] + 0.2


def test_mirroring_swaps_sides_and_columns() -> None:
    pictures = np.zeros((64, INPUT_ROWS, INPUT_COLUMNS), np.float16)
    pictures[:, 30, 41] = 1
    hand = np.array([[41.5, 29.5, 0.7], [np.nan] * 3], np.float32)  # in the middle of the cell (7, 10) of the answer
    samples = PalmSamples(
        pictures, np.stack([hand] * 64), np.array([[True, False]] * 64), np.array([[21, 0]] * 64, np.int8)
    )

    batch = make_palm_batch(samples, np.random.default_rng(0))

    columns = batch.pictures[:, 0, 30].argmax(dim=1)
    turned = columns == INPUT_COLUMNS - 1 - 41
    assert 10 < int(turned.sum()) < 54 and (columns[~turned] == 41).all()
    assert (batch.targets.bump[turned, 7, 31 - 10] == 1).all() and (batch.targets.side[turned, 7, 31 - 10] == 0).all()
    assert (batch.targets.bump[~turned, 7, 10] == 1).all() and (batch.targets.side[~turned, 7, 10] == 1).all()


def test_the_network_answers_in_its_shape_within_its_budget() -> None:
    network, total = PalmNetwork().eval(), 0

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer.weight, torch.Tensor)
        total += layer.weight.numel() * output[0, 0].numel()

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        palms = network(torch.zeros(2, 1, INPUT_ROWS, INPUT_COLUMNS))["palms"]

    assert palms.shape == (2, 3, 24, 32)
    assert total <= 30e6


def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(palm_samples, "SHARD_SAMPLES", 16)
    config = PalmTrainConfig(
        total_samples=32, out=tmp_path / "once", cache=tmp_path, rendered=16, batch_samples=8, validation_samples=16,
        validate_every_samples=16, warmup_samples=8,
    )  # fmt: skip
    path = train_palm(config)
    stopped = msgspec.structs.replace(config, out=tmp_path / "twice")
    note = palm_train._note

    def stop_at_the_end(out: Path, samples: int, score: PalmScore) -> None:
        if samples == 32:
            raise KeyboardInterrupt
        note(out, samples, score)

    monkeypatch.setattr(palm_train, "_note", stop_at_the_end)
    with pytest.raises(KeyboardInterrupt):
        train_palm(stopped)
    monkeypatch.setattr(palm_train, "_note", note)
    assert read_checkpoint(tmp_path / "twice" / LAST).samples == 16
    train_palm(stopped)

    assert_same_run(config.out, stopped.out)
    assert read_checkpoint(config.out / LAST).samples == 32
    assert torch.export.load(path).module()(torch.zeros(3, 1, 96, 128))["palms"].shape == (3, 3, 24, 32)
    with pytest.raises(ConfigError, match="seed"):
        train_palm(msgspec.structs.replace(config, seed=2))


@pytest.fixture
def mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PalmTrainConfig:
    """A run on rendered samples and a labeled recording, in equal shares."""
    monkeypatch.setattr(palm_samples, "SHARD_SAMPLES", 16)
    write(tmp_path / "r", list(synthesize_frames(5, 6, 3)))
    return PalmTrainConfig(
        total_samples=32, out=tmp_path / "run", cache=tmp_path / "cache", labeled_cache=tmp_path / "labeled", rendered=16,
        batch_samples=8, validation_samples=16, validate_every_samples=16, warmup_samples=8,
        sources=(SourceConfig("synthetic"), SourceConfig(str(tmp_path / "r"))),
    )  # fmt: skip


def test_labeled_frames_join_the_rendered_ones(mixed: PalmTrainConfig, tmp_path: Path) -> None:
    labeled = open_labeled_palms(str(tmp_path / "r"), mixed.labeled_cache)
    known = {(picture > 0).tobytes() for picture in np.concatenate([labeled.pictures, labeled.pictures[:, :, ::-1]])}
    source = open_source(mixed)

    for step in range(3):
        batch, again = source.batch(step, mixed), source.batch(step, mixed)
        assert torch.equal(batch.pictures, again.pictures)
        is_whole = batch.targets.weight.amin(dim=(1, 2)) == 1
        assert is_whole.tolist() == [True] * 4 + [False] * 4
        assert [(picture > 0).tobytes() in known for picture in batch.pictures[:, 0].numpy()] == (~is_whole).tolist()
        assert not torch.equal(batch.pictures, source.batch(step + 1, mixed).pictures)

    program = train_palm(mixed)

    told = read_checkpoint(mixed.out / LAST).identity
    assert program.exists() and told["sources"] == msgspec.to_builtins(mixed.sources)
    with pytest.raises(ConfigError, match="sources"):
        train_palm(msgspec.structs.replace(mixed, sources=()))


def test_labels_alone_render_only_what_validates(mixed: PalmTrainConfig, tmp_path: Path) -> None:
    train_palm(msgspec.structs.replace(mixed, sources=(SourceConfig(str(tmp_path / "r")),)))

    assert {path.name.split("-")[1] for path in mixed.cache.iterdir()} == {f"{SeedDomain.PALM_VALIDATION:d}"}


def test_a_source_named_twice_is_refused(mixed: PalmTrainConfig) -> None:
    with pytest.raises(ValueError, match="expected each source once"):
        msgspec.structs.replace(mixed, sources=mixed.sources * 2)


def test_shards_are_read_back_as_they_were_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(palm_samples, "SHARD_SAMPLES", 4)
    first = load_samples(tmp_path, 21, 6)
    names = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = load_samples(tmp_path, 21, 8)

    assert len(first.pictures) == 6 and len(again.pictures) == 8
    np.testing.assert_array_equal(first.pictures, again.pictures[:6])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == names
