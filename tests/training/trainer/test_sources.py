"""Training on a mixture of sources: what is not labeled teaches nothing, a resumed run goes on alike, and odd settings are refused."""

import json
import shutil
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from handmap.recording.writer import RecordingWriter
from handmap.system.config import read_config
from handmap.types.errors import ConfigError, RecordingError
from training.network.network import GUIDANCE_CHANNELS, GuidanceKind, HandMap, NetworkConfig
from training.samples.sample_cache import CacheConfig
from training.synthesis.motion import synthesize_frames
from training.trainer.distributed import join_processes
from training.trainer.optimize import Trainee
from training.trainer.sample_stream import SampleStream, Share, TrainingBatch
from training.trainer.sources import SourceConfig, check_sources
from training.trainer.streams import open_mix, open_stream
from training.trainer.train import train
from training.trainer.train_config import PoolConfig, TrainConfig, identity_of


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty labeled frames of which some joints have no label and others are in doubt."""
    path = tmp_path_factory.mktemp("labels") / "r"
    frames = list(synthesize_frames(3, 20, 5))
    with RecordingWriter(path, frames[0].frame.intrinsics, 1.0) as writer:
        for number, one in enumerate(frames):
            xyz_mm = one.xyz_camera_mm.copy()
            xyz_mm[number % 21] = np.nan
            doubt_mm = np.full(21, number, np.float32)
            writer.write_labeled(type(one)(one.frame, xyz_mm, one.is_visible, one.handedness, doubt_mm))
    return path


@pytest.fixture
def config(tmp_path: Path, recording: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    shared = tmp_path_factory.getbasetemp()
    return TrainConfig(
        total_samples=192,
        out=tmp_path / "run",
        batch_samples=16,
        warmup_samples=64,
        validation_samples=16,
        validate_every_samples=96,
        checkpoint_every_s=0,
        network=NetworkConfig(features=16),
        cache=CacheConfig(folder=shared / "sources-cache", shard_samples=64, window_shards=2),
        labeled_cache=shared / "sources-labeled",
        sources=(SourceConfig("synthetic", 1.0), SourceConfig(str(recording), 2.0)),
    )


def test_a_run_on_a_mixture_learns_and_resumes_with_the_same_batches(config: TrainConfig) -> None:
    with join_processes(config.batch_samples, "cpu") as place:
        with open_stream(config, place, 0) as batches:
            straight = list(batches)
        with open_stream(config, place, 5) as batches:
            resumed = list(batches)

    assert len(straight) == config.steps and len(resumed) == config.steps - 5
    for one, other in zip(straight[5:], resumed, strict=True):
        for tensor, same in zip(one, other, strict=True):
            assert tensor is not None and same is not None and torch.equal(tensor.nan_to_num(9), same.nan_to_num(9))
    weights = torch.cat([batch.weight for batch in straight if batch.weight is not None])
    assert 0.6 < float((weights < 1).any(dim=1).float().mean()) < 0.73  # two in three are labeled, all of them in doubt
    assert train(config).exists()
    lines = [json.loads(line) for line in (config.out / "history.jsonl").read_text().splitlines()]
    assert [line["samples"] for line in lines] == [96, 192] and all(np.isfinite(line["mean_mm"]) for line in lines)


def test_labels_alone_need_no_rendered_hands(config: TrainConfig, recording: Path, tmp_path: Path) -> None:
    shutil.copytree(recording, tmp_path / "held_out")
    alone = msgspec.structs.replace(
        config, sources=(SourceConfig(str(recording)),), validate_on=str(tmp_path / "held_out"),
        cache=msgspec.structs.replace(config.cache, folder=tmp_path / "empty"),
    )  # fmt: skip

    program = train(alone)

    assert program.exists() and not (tmp_path / "empty").exists()


def test_processes_share_the_labeled_hands_of_a_batch(config: TrainConfig, recording: Path, tmp_path: Path) -> None:
    config = msgspec.structs.replace(config, sources=(SourceConfig(str(recording)),))
    mix = open_mix(config)

    def batches_of(share: Share) -> list[TrainingBatch]:
        return list(SampleStream(tmp_path, config, share, lambda: None, mix).batches(0, config.steps))

    whole, parts = batches_of(Share()), zip(*(batches_of(Share(rank, 2)) for rank in (0, 1)), strict=True)

    for together, both in zip(whole, parts, strict=True):
        crops = [Counter(crop.tobytes() for one in some for crop in one.depth) for some in ((together,), both)]
        assert crops[0] == crops[1] and len(crops[0]) == config.batch_samples


@pytest.mark.parametrize("kind", [None, *GUIDANCE_CHANNELS])
def test_a_joint_without_weight_teaches_nothing(kind: GuidanceKind | None) -> None:
    torch.manual_seed(0)
    trainee = Trainee(HandMap(NetworkConfig(features=8, guidance=kind)), TrainConfig(total_samples=1))
    depth, joints = torch.rand(2, 1, 128, 128), torch.rand(2, 21, 3)
    weight = torch.ones(2, 21)
    weight[:, 4] = 0
    changed = joints.clone()
    changed[:, 4] = torch.nan
    maps = None if kind is None else torch.rand(2, GUIDANCE_CHANNELS[kind], 32, 32)
    other = None if maps is None else maps.clone()
    if other is not None:
        other[:, 4] += 1
        other[:, 21 + 12 : 21 + 15] += 1  # udir2's unit vectors of joint 4

    losses = [trainee(depth, one, some, weight).total for one, some in ((joints, maps), (changed, other))]
    whole = trainee(depth, joints, maps, torch.ones(2, 21)).total

    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-4)
    assert whole.item() == pytest.approx(trainee(depth, joints, maps).total.item(), rel=1e-4)
    assert whole.item() > losses[0].item()


def test_sources_are_part_of_a_run(config: TrainConfig) -> None:
    plain = msgspec.structs.replace(config, sources=())

    assert "sources" in identity_of(config) and "sources" not in identity_of(plain)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"stream": "pool", "pool": PoolConfig(1)}, "pool trains on rendered hands alone"),
        ({"sources": (SourceConfig("a"), SourceConfig("a"))}, "expected each source once"),
    ],
)
def test_a_mixture_that_cannot_be_is_refused(config: TrainConfig, change: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        msgspec.structs.replace(config, **change)


def test_a_source_that_is_not_there_is_named(config: TrainConfig) -> None:
    absent = msgspec.structs.replace(config, sources=(SourceConfig("synthetic"), SourceConfig("nowhere/r")))

    with pytest.raises(RecordingError, match="nowhere/r"):
        train(absent)
    assert not absent.out.exists()  # a run that is refused leaves nothing behind


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            ["sources:", "- data: {r}", "- data: synthetic", "- data: {r}/"],
            "line 5: key 'sources[2].data': expected each source once, got that of sources[0] again, '{r}/'",
        ),
        (["sources: [{{data: recording:{r}}}, {{data: {r}}}]"], "got that of sources[0] again, '{r}'"),
        (["sources: [{{data: synthetic}}, {{data: synthetic}}]"], "got that of sources[0] again, 'synthetic'"),
        (
            ["sources: [{{data: {r}}}]", "validate_on: {r}/../link"],
            "line 3: key 'validate_on': expected data that no source trains on, got '{r}/../link' of sources[0]",
        ),
        (['sources: [{{data: ""}}]'], "key 'sources[0].data': expected the name of a data set with its path, got ''"),
        (["sources: [{{data: 'nyu:'}}]"], "expected the name of a data set with its path, got 'nyu:'"),
        (['validate_on: ""'], "key 'validate_on': expected the name of a data set with its path, got ''"),
    ],
)
def test_data_named_wrongly_is_refused_with_its_key_and_one_advice(tmp_path: Path, lines: list[str], says: str) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "link").symlink_to("r")
    file = tmp_path / "c.yaml"
    file.write_text("\n".join(["total_samples: 64", *lines]).format(r=tmp_path / "r"))

    with pytest.raises(ConfigError) as refused:
        read_config(file, TrainConfig)

    assert str(refused.value).endswith(says.format(r=tmp_path / "r") + "; correct the value")


def test_two_parts_of_a_data_set_are_two_sources() -> None:
    names = ("nyu:/data/nyu,split=train", "nyu:/data/nyu,split=test", "synthetic:val", "synthetic")

    check_sources([SourceConfig(name) for name in names[1:]], names[0])
