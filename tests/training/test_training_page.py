"""The examples of docs/training.md run as they stand there, each in under a minute on a machine that does nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
import yaml

from handmap.bundle.manifest import read_bundle
from handmap.bundle.model_metadata import METADATA_FILE, decode_metadata
from handmap.system.config import read_config
from handmap.types.joints import HAND21
from tests.support.doc_examples import block_of, command_of, python_of
from tests.support.example_packages import installed_from
from tests.support.processes import COMMAND, ROOT
from training.synthesis.motion import synthesize_frames
from training.trainer.train_config import TrainConfig

PAGE = ROOT / "docs/training.md"
PACKAGE = ROOT / "docs/examples/dataset_package"
BUNDLE = ROOT / "models/handmap-hand21"
MAX_WAIT_S = 300  # on a machine that does other things
TINY = {
    "total_samples": 64, "batch_samples": 16, "warmup_samples": 16, "validation_samples": 16, "validate_every_samples": 32,
    "labeled_cache": "labeled", "cache": {"folder": "cache", "shard_samples": 32, "window_shards": 2},
}  # fmt: skip


def run(command: list[str], folder: Path, *places: Path) -> str:
    """What a command prints that runs in a folder, with these places on PYTHONPATH."""
    paths = os.pathsep.join(filter(None, (*map(str, places), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True,
        timeout=MAX_WAIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_backbone_and_a_head_of_ones_own_are_trained_and_exported(tmp_path: Path) -> None:
    heading = "A backbone and a head of your own"
    (tmp_path / "own_parts.py").write_text(python_of(heading, PAGE))
    network = block_of(heading, "yaml", PAGE)
    (tmp_path / "own.yaml").write_text(network + yaml.safe_dump({**TINY, "out": "run"}))

    run([*COMMAND, "train", "--config", "own.yaml"], tmp_path, tmp_path)

    facts = {METADATA_FILE: ""}
    program = torch.export.load(tmp_path / "run/handmap.pt2", extra_files=facts)  # without own_parts
    assert program.module()(torch.ones(3, 1, 128, 128))["joints"].shape == (3, 21, 3)
    settings = decode_metadata(facts[METADATA_FILE], "handmap.pt2").provenance["config"]
    assert settings["network"]["layout"] == "own_parts:depthwise"


def test_a_network_and_a_loop_of_ones_own_end_in_a_bundle(tmp_path: Path) -> None:
    heading = "A network and a loop of your own"
    (tmp_path / "own.py").write_text(python_of(heading, PAGE))
    (tmp_path / "models").symlink_to(ROOT / "models")

    printed = run([sys.executable, "own.py"], tmp_path)
    run([*COMMAND, "export", *command_of(heading, "export", PAGE)], tmp_path)

    losses = [float(line.split()[1]) for line in printed.splitlines()]
    assert len(losses) == 8 and losses[-1] < losses[0]
    assert read_bundle(tmp_path / "own_bundle").hand.joint_names == HAND21


def test_maps_of_ones_own_crops(tmp_path: Path) -> None:
    printed = run([sys.executable, "-c", python_of("Guidance maps of your own crops", PAGE)], tmp_path)

    assert printed == "(1, 21, 32, 32) 0.95\n"


def test_the_mixture_of_sources_is_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("total_samples: 64\n" + block_of("What a run learns from", "yaml", PAGE))

    config = read_config(tmp_path / "c.yaml", TrainConfig)

    assert [source.weight for source in config.sources] == [1, 2]
    assert config.validate_on == "runs/held_out/recording"


def test_the_steps_for_ones_own_camera_end_in_a_bundle(tmp_path: Path) -> None:
    heading = "Your own camera"
    for name, place in {"models": "models", "my_recording": "models/demo_recording"}.items():
        (tmp_path / name).symlink_to(ROOT / place)
    (tmp_path / "configs").mkdir()
    side, palm = {"shards": 2, "validation_samples": 128}, {"rendered": 16, "validation_samples": 16}
    for name, changes in {"train_adapt": {}, "adapt_handedness": side, "adapt_palm": palm}.items():
        settings = yaml.safe_load((ROOT / f"configs/{name}.yaml").read_text())
        tiny = {key: value for key, value in TINY.items() if key in settings and key != "labeled_cache"}
        if name == "adapt_palm":
            del tiny["cache"]
        (tmp_path / f"configs/{name}.yaml").write_text(yaml.safe_dump(settings | tiny | changes))

    for verb in ("label", "train", "train-handedness", "train-palm", "export"):
        run([*COMMAND, verb, *command_of(heading, verb, PAGE)], tmp_path)

    bundle = read_bundle(tmp_path / "runs/adapted_bundle")
    assert bundle.palm is not None and bundle.hand.joint_names == HAND21
    assert json.loads((tmp_path / "runs/labels/summary.json").read_text())["kept"] > 20


@pytest.fixture(scope="module")
def npz_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty frames in the format of the example, with the fingers in its order."""
    folder = tmp_path_factory.mktemp("npz")
    order = [name for finger in ("little", "ring", "middle", "index", "thumb") for name in HAND21 if finger in name]
    rows = [HAND21.index(name) for name in (*order, "wrist")]
    for number, labeled in enumerate(synthesize_frames(5, 30, 30.0)):
        assert labeled.frame.depth_unit_mm == 1
        facts = {"depth": labeled.frame.depth, "joints_mm": labeled.xyz_camera_mm[rows], "is_left": False}
        np.savez(folder / f"{number:03}.npz", **facts)
    (folder / "camera.json").write_bytes(msgspec.json.encode(labeled.frame.intrinsics))
    return folder


def test_the_data_set_package_is_evaluated_and_trained_on(
    tmp_path: Path, npz_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site = installed_from(PACKAGE, tmp_path_factory.mktemp("dataset"))
    text = (PACKAGE / "train.yaml").read_text().replace("/data/hands", str(npz_folder))
    settings = {**yaml.safe_load(text), **TINY, "out": "run", "start_from": str(ROOT / "models/handmap-hand21.pt2")}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(settings))

    data = f"npz:{npz_folder},part=test"
    figures = run([*COMMAND, "evaluate", "--bundle", str(BUNDLE), "--data", data, "--json"], tmp_path, site)
    run([*COMMAND, "train", "--config", "train.yaml"], tmp_path, site)

    found = json.loads(figures)
    assert found["frames"] == 6 and found["mean_mm"] < 15  # in another order of joints it would be 60
    (*_, last) = [json.loads(line) for line in (tmp_path / "run/history.jsonl").read_text().splitlines()]
    assert last["samples"] == 64 and last["mean_mm"] < 20


def test_the_data_set_package_is_short() -> None:
    assert len((PACKAGE / "handmap_npz_hands.py").read_text().splitlines()) <= 70
